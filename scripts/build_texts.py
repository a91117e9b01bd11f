"""The texts of vl2/synth/pack: words, prose, names, places, companies, e-mail addresses, each for train and test.

    wordfreq, WordNet, Faker --letters only, hash split--> text/{train,test}/*.txt, text/shared/function_words.txt

A content word is a test word when `is_test_word` says so. Training texts hold none of them; test texts hold no other
content word (test prose is training-like prose with its content words exchanged). Used by build_pack.py.
"""

import hashlib
import importlib.metadata
import random
import re
from pathlib import Path

from faker import Faker
from wordfreq import top_n_list

FUNCTION_WORDS = """
the and for you that with this was are not but have had has his her him she they them their there then than from were
been will would could should can may might must shall what when where which who whom whose why how all any each few
more most other some such only own same too very just into onto over under after before about above below between
through during again once here both nor its our your mine ours yours theirs does did doing being having out off down
upon also one two three four five six seven eight nine ten first second third new old last next use used usually
especially someone something etc per via without within because while until against among around along across toward
towards whether either neither many much little less least often never always ever even still yet
""".split()  # noqa: SIM905
LABEL_WORDS = """
street road avenue lane drive way square court place hill park row ridge view north south east west port lake new
saint ltd inc llc plc gmbh group sons store shop market cafe foods bakery hotel books motors supplies trading works
services studio house mail email com org net info edu gov www http https total date name phone address number mr mrs
miss dr
""".split()  # noqa: SIM905
SHARED = {*FUNCTION_WORDS, *LABEL_WORDS}
BLOCKED_WORDS = Path(__file__).with_name("blocked_words.txt")
COMPANY_FORMS = """
Ltd|Inc|LLC|PLC|Group|& Sons|and Sons|Foods|Hotel|Books|Motors|Supplies|Trading|Works|Services|Studio|Store|Market
""".strip().split("|")
LOCALES = """
en_US en_GB en_IN en_AU en_IE de_DE fr_FR es_ES it_IT nl_NL pt_PT sv_SE da_DK fi_FI
""".split()  # noqa: SIM905


def blocked_pattern(path: Path = BLOCKED_WORDS) -> re.Pattern[str]:
    """Matches, from their beginning, lower-case words that have no place in texts shown to people."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return re.compile("|".join(" ".join(lines).split()))


UNWANTED = blocked_pattern()


def is_test_word(word: str) -> bool:
    """The rule of vl2.synth.ingredients.is_test_word, repeated so that this script needs no package of ours."""
    return hashlib.sha256(word.lower().encode()).digest()[0] < 32


def content_words(text: str) -> list[str]:
    """The lower-case words of a text that belong to one split."""
    found = re.findall(r"[a-z]+", text.lower())
    return [word for word in found if len(word) > 2 and word not in SHARED]


def fits(text: str, split: str) -> bool:
    """Whether every content word of the text is of the split, none is unwanted, and all is printable ASCII."""
    if not re.fullmatch(r"[ -~]+", text):
        return False
    found = content_words(text)
    return all(is_test_word(word) == (split == "test") and not UNWANTED.match(word) for word in found)


def english_words() -> dict[str, list[str]]:
    """Words of both splits, most frequent first."""
    every = [
        word
        for word in top_n_list("en", 45_000)
        if re.fullmatch(r"[a-z]{3,15}", word) and word not in SHARED and not UNWANTED.match(word)
        and re.search(r"[aeiouy]", word) and not re.search(r"(.)\1\1", word)
    ][:30_000]  # fmt: skip
    return {split: [word for word in every if is_test_word(word) == (split == "test")] for split in ("train", "test")}


def glosses(wordnet: Path) -> list[str]:
    """Definitions and example sentences of WordNet, in a fixed random order."""
    pieces: list[str] = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (wordnet / f"data.{part}").read_text(encoding="latin-1").splitlines():
            if line.startswith("  ") or "| " not in line:
                continue
            pieces += re.split(r";\s+", line.split("| ", 1)[1].strip())
    cleaned = {piece.strip(' "').replace("`", "'") for piece in pieces}
    chosen = [piece for piece in sorted(cleaned) if 8 <= len(piece) <= 110 and piece.count('"') % 2 == 0
              and piece.count("(") == piece.count(")") and re.fullmatch(r"[ -~]+", piece)]  # fmt: skip
    random.Random(1).shuffle(chosen)
    return chosen


def exchange(text: str, pool: list[str], rng: random.Random) -> str:
    """The text with each content word replaced by one of the pool that ends alike, capitals kept."""
    by_ending: dict[str, list[str]] = {}
    for word in pool:
        by_ending.setdefault(ending(word), []).append(word)

    def other(match: re.Match[str]) -> str:
        word = match.group(0)
        if not content_words(word):
            return word
        new = rng.choice(by_ending.get(ending(word.lower()), pool))
        return new.upper() if word.isupper() else new.capitalize() if word[0].isupper() else new

    return re.sub(r"[A-Za-z]+", other, text)


def ending(word: str) -> str:
    """The ending that tells roughly what part of speech a word is."""
    for suffix in ("ing", "ed", "ly", "ness", "tion", "ers", "er", "es", "s", "al", "ous", "ive", "able", "y"):
        if word.endswith(suffix):
            return suffix
    return ""


def prose(wordnet: Path, words: dict[str, list[str]]) -> dict[str, list[str]]:
    """Pieces of prose of both splits."""
    rng = random.Random(2)
    pieces = glosses(wordnet)
    train = [piece for piece in pieces if fits(piece, "train")][:12_000]
    templates = [piece for piece in pieces[::-1] if not any(UNWANTED.match(word) for word in content_words(piece))]
    test = [exchange(piece, words["test"], rng) for piece in templates[:2_000]]
    return {"train": train, "test": [piece for piece in test if fits(piece, "test")]}


def drawn(fakers: list[Faker], method: str, count: int) -> list[str]:
    """Distinct strings of one Faker method over all locales, in a fixed order."""
    found = {str(fakers[i % len(fakers)].format(method)) for i in range(count)}
    return sorted(text for text in found if re.fullmatch(r"[A-Za-z' -]{3,24}", text))


def _companies_and_emails(
    first: list[str], last: list[str], common: list[str], rng: random.Random
) -> tuple[list[str], list[str]]:
    """Company names and e-mail addresses made of names and common words of one split."""
    companies = []
    for _ in range(1500):
        stem = rng.choice(
            [
                rng.choice(last),
                f"{rng.choice(last)} & {rng.choice(last)}",
                rng.choice(common).capitalize(),
                f"{rng.choice(common).capitalize()} {rng.choice(common).capitalize()}",
            ]
        )
        companies.append(f"{stem} {rng.choice(COMPANY_FORMS)}" if rng.random() < 0.75 else stem)
    emails = []
    for _ in range(4000):
        given, family, word = rng.choice(first).lower(), rng.choice(last).lower(), rng.choice(common)
        user = rng.choice(
            [
                f"{given}.{family}",
                f"{given[0]}{family}",
                f"{given}{rng.randint(1, 99)}",
                f"{given}_{family}",
                word,
                "info",
            ]
        )
        domain = rng.choice([word, f"{family}", f"{rng.choice(common)}-{word}", f"{word}mail", f"mail.{word}"])
        top_level = rng.choice(["com", "org", "net", "co", "io", "info", "de", "eu", "co.uk"])
        emails.append(re.sub(r"[ ']", "", f"{user}@{domain}.{top_level}"))
    return companies, emails


def build_pools(words: dict[str, list[str]], split: str) -> dict[str, list[str]]:
    """Names, places, companies and addresses of one split."""
    rng = random.Random(f"pools {split}")
    fakers = []
    for locale in LOCALES:
        fake = Faker(locale)
        fake.seed_instance(11)
        fakers.append(fake)
    english = fakers[:5]
    first = [name for name in drawn(fakers, "first_name", 40_000) if fits(name, split)]
    last = [name for name in drawn(fakers, "last_name", 60_000) if fits(name, split)]
    cities = [name for name in drawn(fakers, "city", 60_000) if fits(name, split)]
    streets = [name for name in drawn(english, "street_name", 40_000) if fits(name, split)]
    common = words[split][: 4000 if split == "train" else 1500]
    companies, emails = _companies_and_emails(first, last, common, rng)
    pools = {"first_names": first, "surnames": last, "cities": cities, "streets": streets}
    for pool in pools.values():
        rng.shuffle(pool)
    limited = {name: pool[:2500] for name, pool in pools.items()}
    fitting = [address for address in emails if fits(address, split)]
    return {**limited, "companies": sorted(set(companies)), "emails": sorted(set(fitting))}


def build_texts(wordnet: Path, target: Path, licences: Path) -> None:
    """Write all text files below `target` and the licence note of Faker."""
    words = english_words()
    sentences = prose(wordnet, words)
    for split in ("train", "test"):
        pools = {"words": words[split], "sentences": sentences[split], **build_pools(words, split)}
        (target / split).mkdir(parents=True, exist_ok=True)
        for name, lines in pools.items():
            (target / split / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (target / "shared").mkdir(exist_ok=True)
    (target / "shared" / "function_words.txt").write_text("\n".join(FUNCTION_WORDS) + "\n", encoding="utf-8")
    (target / "shared" / "label_words.txt").write_text("\n".join(LABEL_WORDS) + "\n", encoding="utf-8")
    files = importlib.metadata.files("Faker") or []
    notes = [file.read_text() for file in files if "license" in file.name.lower() and not file.name.endswith(".py")]
    (licences / "faker.txt").write_text("\n\n".join(notes) or "MIT\n", encoding="utf-8")
