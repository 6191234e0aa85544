"""What a model sees: a raw text cleaned, freed of personal data and told apart by language.

Pure functions without clock, network or model; the stream, the `score` command and the trainer import the same ones.
`model_input.py` is the way in. It calls, in this order:

1. `clean.py`: characters (`characters.py`), markup and links (`markup.py`), letters pulled apart (`evasion.py`),
   repeats, and sentences nobody wrote (`boilerplate.py`);
2. `redact.py`: personal data becomes placeholders such as `<phone>`; the patterns live in `accounts.py` (what follows
   a label), `phones.py`, `numbers.py` (what a check digit or a shape gives away), `addresses.py` and `names.py`;
3. `language.py`: zh, en, mixed or other.

Most texts hold nothing to take out, so what they cost is the asking: `hints.py` says which questions are cheap.
"""
