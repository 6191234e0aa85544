"""How to train: every knob of the training loop, with its reason. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.errors import SetupError


@dataclass(frozen=True)
class Recipe:
    """How to train one encoder."""

    epochs: int = 2
    tokens_per_batch: int = 4096
    """Padded tokens of a forward pass; about 100 texts."""
    accumulate: int = 1
    """Forward passes to an optimizer step."""
    learning_rate: float = 1.5e-4
    layer_decay: float = 0.9
    """Each layer below the top learns at this times the rate above it (ULMFiT, Howard and Ruder 2018)."""
    head_rate: float = 5.0
    """Times `learning_rate`: for pooler and classifier, which start untrained."""
    warm_up: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    focal: float = 0.0
    """Exponent of the focal loss (Lin et al. 2017); 0 is cross entropy."""
    adversarial: float = 0.0
    """Size of FGM's step on the word embeddings (Miyato et al. 2017); doubles the cost of a step. 0: none."""
    teacher_share: float = 0.5
    """Of the loss of rows that carry a teacher's outputs; a head that a row has no label for learns from the teacher
    alone."""
    teacher_temperature: float = 2.0
    augment: float = 0.15
    """Share of the texts altered in each epoch, see trainer/augment.py."""
    lora: int = 0
    """Rank of low-rank updates to query and value, merged before saving (Hu et al. 2021); 0 trains every weight."""
    patience: int = 0
    """Stop after this many checkpoints without a better held-back loss; 0: never. The best weights are kept."""
    seed: int = 13
    precision: str = "bf16"
    """bf16 (autocast; on a CPU with avx512_bf16 1.7 times the speed of fp32, without it slower) or fp32."""
    threads: int = 2
    """On shared cores set OMP_WAIT_POLICY=PASSIVE: 3,000 tokens per CPU second instead of 1,200 spent on spinning."""
    checkpoint_every: int = 100
    max_tokens: int = 160
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Raises SetupError for a value that no training can have."""
        for name in ("epochs", "tokens_per_batch", "accumulate", "threads", "checkpoint_every", "max_tokens"):
            if getattr(self, name) < 1:
                raise SetupError(f"{name} is {getattr(self, name)}: it has to be 1 at least")
        for name in ("learning_rate", "layer_decay", "head_rate", "clip", "teacher_temperature"):
            if getattr(self, name) <= 0:
                raise SetupError(f"{name} is {getattr(self, name)}: it has to be above 0")
        for name in ("warm_up", "weight_decay", "teacher_share", "augment"):
            if not 0 <= getattr(self, name) <= 1:
                raise SetupError(f"{name} is {getattr(self, name)}: it has to be from 0 to 1")
        for name in ("focal", "adversarial", "lora", "patience"):
            if getattr(self, name) < 0:
                raise SetupError(f"{name} is {getattr(self, name)}: it has to be 0 or more")
        if self.lora and self.adversarial:
            raise SetupError("lora trains no embeddings, and adversarial moves them: choose one")
