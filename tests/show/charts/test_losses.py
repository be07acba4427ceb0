"""Loss curves of one run and of several."""

from __future__ import annotations

from engine.show.charts import looks
from engine.show.charts.losses import loss_chart, loss_table, overlaid_chart, thinned


def test_the_loss_curve_takes_loss_events_only() -> None:
    events = [
        {"kind": "loss", "step": 1, "epoch": 1, "split": "train", "loss_nats": 2.0},
        {"kind": "note", "step": 1},
        {"kind": "loss", "step": 2, "epoch": 1, "split": "val", "loss_nats": 1.5},
        {"kind": "loss", "step": 3, "epoch": 1, "split": "train", "loss_nats": None},
    ]
    table = loss_table(events)
    assert list(table["split"]) == ["training", "validation"]
    assert set(table["split"]) <= set(looks.PALETTE)
    assert len(loss_chart(table).to_dict()["layer"]) == 2
    assert loss_table([]).empty


def test_the_loss_curve_keeps_the_last_value_of_a_step_that_was_repeated() -> None:
    losses = [("train", 1, 3.0), ("train", 2, 2.5), ("val", 2, 2.4), ("train", 2, 2.0), ("val", 2, 1.9)]
    table = loss_table(
        {"kind": "loss", "step": step, "epoch": 1, "split": split, "loss_nats": nats}
        for split, step, nats in losses
    ).drop(columns=["seconds", "learning_rate"])
    assert list(table.itertuples(index=False, name=None)) == [
        (1, 1, "training", 3.0),
        (2, 1, "training", 2.0),
        (2, 1, "validation", 1.9),
    ]


def test_the_curve_of_a_run_that_trains_several_times_is_the_mean_over_these() -> None:
    """Each begins at step 1, and one ends sooner."""
    told = [(0, 1, 4.0), (0, 2, 3.0), (1, 1, 2.0), (1, 2, 2.0), (1, 3, 1.0)]
    table = loss_table(
        {"kind": "loss", "training": training, "split": "train", "step": step, "loss_nats": nats}
        for training, step, nats in told
    )
    assert list(zip(table["step"], table["loss_nats"], strict=True)) == [(1, 3.0), (2, 2.5), (3, 1.0)]


def test_a_long_curve_is_thinned_to_means_and_keeps_every_validation() -> None:
    events = [
        {"kind": "loss", "t": 0.1 * step, "step": step, "epoch": 1, "split": split, "loss_nats": float(step)}
        for step in range(1, 1001)
        for split in ("train", "val")
        if split == "train" or step % 100 == 0
    ]
    whole = loss_table(events)
    table = thinned(whole, points=100)
    training = table[table["split"] == "training"]
    assert len(training) == 100
    assert len(table) == 110
    assert training["loss_nats"].mean() == whole[whole["split"] == "training"]["loss_nats"].mean()
    assert thinned(whole, points=1000) is whole


def test_several_runs_have_a_colour_and_a_sign_each() -> None:
    events = [{"kind": "loss", "t": 1.0, "step": 1, "epoch": 1, "split": "val", "loss_nats": 2.0}]
    chart = overlaid_chart({"one": loss_table(events), "two": loss_table(events)}, along="seconds").to_dict()
    signs = next(layer for layer in chart["layer"] if "shape" in layer["encoding"])
    assert signs["encoding"]["shape"]["scale"]["domain"] == ["one", "two"]
    assert signs["encoding"]["color"]["scale"]["domain"] == ["one", "two"]
    assert signs["encoding"]["x"]["field"] == "seconds"
