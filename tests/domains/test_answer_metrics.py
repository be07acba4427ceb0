"""The metrics of answers beside the libraries and the evaluator that define them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from sklearn.metrics import f1_score, root_mean_squared_error

from engine.domains.answer_metrics import error_of, label_of
from engine.domains.metrics import METRICS

TEXTS = [
    ("Council closes the old library", "Why the council closes the library"),
    ("the cat sat on the mat", "the cat sat on the mat"),
    ("", "one two three"),
    ("rain again in the harbour town this week", "rain rain again in the harbour"),
]


def value(metric: str, reply: str, reference: str) -> float | None:
    return METRICS[metric].values_of(reply, reference)[""]


def whole(metric: str, pairs: list[tuple[str, str]]) -> float:
    """The statistic of all pairs together, as the store adds them up."""
    sums: Counter[str] = Counter()
    for reply, reference in pairs:
        sums.update(METRICS[metric].values_of(reply, reference))
    total = METRICS[metric].total
    assert total is not None
    return float(total({name: np.array([held]) for name, held in sums.items()})[0])


def test_rouge_counts_words_and_their_order() -> None:
    reply, reference = TEXTS[0]  # four words shared, all in order, of 5 and 6
    assert value("rouge_1", reply, reference) == pytest.approx(2 * 4 / 11)
    assert value("rouge_l", reply, reference) == pytest.approx(2 * 4 / 11)
    assert value("rouge_1", "b a", "a b") == 1
    assert value("rouge_l", "b a", "a b") == 0.5
    assert value("rouge_l", "", "a b") == 0


def test_a_reference_without_latin_letters_has_no_rouge_and_still_a_chrf() -> None:
    assert value("rouge_1", "a", "ສະບາຍດີ") is None
    assert value("chrf", "ສະບາຍດີ", "ສະບາຍດີ") == pytest.approx(1)
    assert value("chrf", "abc", "ສະບາຍດີ") == 0
    assert value("rouge_l", "iPhone", "用 iPhone 拍照很方便") is None  # the one word that it reads
    assert value("rouge_l", "a", "Café déjà vu") == 0


def test_where_words_have_no_spaces_letters_are_counted() -> None:
    held = "银行没有通知就关闭了我的账户"
    assert value("length_ratio", held[:7], held) == 0.5
    assert 0 < (value("meteor", held[:7], held) or 0) < 1
    assert 0 < whole("bleu", [(held[:7], held)]) < 1
    assert value("length_ratio", "uno dos", "uno dos, tres cuatro") == 0.5


def test_meteor_matches_stems_and_needs_no_download() -> None:
    assert (value("meteor", "cats running", "cat runs") or 0) > 0.5
    assert value("meteor", "dogs", "cat") == 0


@pytest.mark.parametrize("pairs", [TEXTS, TEXTS[:1], TEXTS[1:2], TEXTS[2:3], TEXTS * 3])
def test_bleu_of_all_replies_is_sacrebleus(pairs: list[tuple[str, str]]) -> None:
    replies, references = zip(*pairs, strict=True)
    expected = BLEU().corpus_score(list(replies), [list(references)]).score / 100
    assert whole("bleu", pairs) == pytest.approx(expected, abs=1e-9)


def test_macro_f1_is_over_the_labels_of_the_references() -> None:
    pairs = [("comedy", "comedy"), ("Comedy ", "drama"), ("war", "drama"), ("drama", "drama"), ("x", "war")]
    said, held = zip(*[(label_of(one), label_of(other)) for one, other in pairs], strict=True)
    expected = f1_score(held, said, average="macro", labels=sorted(set(held)), zero_division=0)
    assert whole("label_macro_f1", pairs) == pytest.approx(expected)
    assert [value("label_accuracy", *pair) for pair in pairs] == [1, 0, 0, 1, 0]


def test_an_unreadable_rating_counts_as_the_farther_end() -> None:
    pairs = [("4", "5"), ("4,5", "4"), ("good", "2"), ("", "5"), ("3 stars", "3"), ("21", "4"), ("inf", "4")]
    errors = [error_of(*pair) for pair in pairs]
    assert errors == [1, 0.5, 3, 4, 2, 17, 3]
    expected = root_mean_squared_error([0.0] * 7, errors)
    assert whole("rating_rmse", pairs) == pytest.approx(expected)
    assert METRICS["rating_mae"].sign == METRICS["rating_rmse"].sign == -1


@pytest.mark.parametrize("said", ["+4", "４", "٤", "4e0", " 4.\n", "4,0"])
def test_a_rating_is_read_however_it_is_written(said: str) -> None:
    assert error_of(said, "4.0") == 0


def test_a_weight_by_val_is_more_where_the_metric_is_better() -> None:
    assert METRICS["rating_mae"].worth(0.5) > METRICS["rating_mae"].worth(2.0) > 0
    assert METRICS["rouge_l"].worth(0.5) == 0.5
