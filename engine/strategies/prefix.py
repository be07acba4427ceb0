"""Trained keys and values before the prompt: one prefix a persona, one for all, or one on frozen unified."""

from dataclasses import replace

from engine.strategies.published import START
from engine.strategies.spec import Preset
from engine.strategies.trained import ALIKE, PERSONAL, PrefixParameters, on_unified, train_prefix, trained

STRATEGIES = (
    trained(
        "prefix",
        title="Per-persona prefix",
        question="Do some trained positions of her own before the prompt serve a persona as well as a LoRA?",
        parameters=PrefixParameters,
        step=train_prefix,
        group="Prefixes",
    ),
    trained(
        "global-prefix",
        title="Global prefix",
        question="How far does one prefix, trained on everybody's dialogues, carry beside one LoRA?",
        parameters=PrefixParameters,
        step=train_prefix,
        by="all",
        family="prefix",
        traits=ALIKE,
        group="Prefixes",
    ),
    trained(
        "prefix-unified",
        title="Prefix on unified",
        question="Does a prefix of her own in front of the frozen unified model add what is personal?",
        parameters=PrefixParameters,
        step=train_prefix,
        family="prefix",
        traits=replace(PERSONAL, newcomers=True),
        group="Prefixes",
        needs=on_unified,
        beside=("base",),
        presets=(
            Preset(
                "quick-start", "20 positions on frozen unified", {"length": 20}, f"{START}, experiment 3."
            ),
        ),
    ),
)
