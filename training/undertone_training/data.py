"""What the heads are trained on: our own messages, and public sets where a folder of them is at hand.

Our own messages lie in `corpus/`. The public ones are not part of the project; `--data FOLDER` names a folder with `train/` and `dev/`
as README.md describes. Each file is checked against the checksum here, so that a figure belongs to known bytes.
"""

import gzip
import hashlib
import json
import random
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "corpus"

LABELS = ["positive", "neutral", "negative", "mixed"]
EMOTIONS = ["frustration", "anger", "disappointment", "confusion", "worry", "sadness", "gratitude", "relief", "joy", "neutral"]
URGENCY = ["low", "medium", "high"]
CATEGORIES = ["billing", "refund", "delivery", "product_quality", "technical", "account_access", "cancellation", "customer_service",
              "pricing", "booking", "how_to", "feature_request", "security", "other"]

# file: (SHA-256, licence as its source states it, source, texts taken)
PUBLIC = {
    "train/vader": ("59048b26813f52d75ade6b58f75470b5257f0bea4e5d80f1715f4a15e92d3724",
        "MIT", "cjhutto/vaderSentiment, ground truth of tweets, film and news", 20000),
    "train/mams": ("c607e1655af787dda0d9c2f953e12143161e010171815e09e369fd5729ed5459",
        "Apache-2.0", "siat-nlp/MAMS-for-ABSA", 8000),
    "train/senti4sd": ("12d5eb6720ad20b662dabfb1b98eb8c5bb054ebbfb717f1105cc0e0b30544e4c",
        "MIT", "collab-uniba/Senti4SD", 4000),
    "train/goemotions": ("2ac5d2360b78b1104d72c0dd066ebe07ecdc8ea1da4825bb51ee25ddc61d261e",
        "CC BY 4.0", "google-research/goemotions", 50000),
    "train/isarcasmeval": ("e47c09ac8b2ebdaf745ca2d2c816801a1210dc59a7a74adec75668198ee21eab",
        "MIT", "iabufarha/iSarcasmEval", 3467),
    "train/banking77": ("0867817031f1cd7b5646044de6c52549b7629ce527d73a37e824d2ed77682c72",
        "CC BY 4.0", "PolyAI/banking77", 6000),
    "train/bitext_intents": ("289ff436c96cb5172b7b66f878ac59443483df07324940b3a5fd2e24a7aae562",
        "CDLA-Sharing-1.0", "bitext, customer-support intents", 6480),
    "train/clinc150": ("670e8447b22da8b30ead3db19b5edd3bb5ce71807d461a95892041ee5b063988",
        "CC BY 3.0", "clinc/oos-eval", 15100),
    "train/emobank": ("6520a27aa7fb08e018dd311d9cf7473859b27b4bf9e9f98622bd5238e71de8c1",
        "CC BY-SA 4.0", "JULIELab/EmoBank", 8062),
}
# Texts of these are used only where we labelled them, see `turns`.
LABELLED = {
    "train/multidogo": ("74d9e102dedbdcb219e48fc83819db88eab6972d993b1eecf61fd6311f176291",
        "CDLA-Permissive-1.0", "awslabs/multi-domain-goal-oriented-dialogues, and turns of Banking77, labelled by us", 0),
}
HELD_OUT = {
    "dev/tweeteval": ("99046fbc130cb1c720915b2bcfe224b6ca431858bbc426b90aa503e209181030",
        "as its sources", "cardiffnlp/tweeteval, sentiment validation", 2000),
    "dev/goemotions": ("d7084bea46cc81eb5a643b550523afa8aa3d7384b5a27b1b5ee67fc816912918",
        "CC BY 4.0", "google-research/goemotions, dev and test", 20000),
    "dev/umsab": ("78ae5c145c401f29ac496795d16f68225faec9853bcb19b35e4a059749dd560e",
        "as its sources", "cardiffnlp/umsab, tweets in eight languages, validation", 2592),
    "dev/uss_mwoz": ("56afddaed51421df5caec88a2eb3c92a495b47bda7dfd5a8f51ad776daa9013e",
        "as its source", "sunnweiwei/user-satisfaction-simulation, MultiWOZ", 30000),
}

# GoEmotions' words for ours; what is not here stands for none of ours.
GOEMOTIONS = {
    "annoyance": "frustration", "disapproval": "frustration", "anger": "anger", "disgust": "anger", "disappointment": "disappointment",
    "confusion": "confusion", "fear": "worry", "nervousness": "worry", "sadness": "sadness", "grief": "sadness", "remorse": "sadness",
    "gratitude": "gratitude", "relief": "relief", "joy": "joy", "amusement": "joy", "excitement": "joy", "love": "joy",
    "admiration": "joy", "pride": "joy", "neutral": "neutral",
}


# The category that an intent of a public set stands for: by the first words found in the intent's name. What is not here would be a guess.
CATEGORY_OF = {
    "banking77": (
        (("refund", "reverted"), "refund"),
        (("arrival", "delivery", "card_swallowed"), "delivery"),
        (("fee", "charge", "rate", "amount", "balance", "pending", "declined", "failed", "not_recognised", "transfer", "top_up_by", "payment"),
         "billing"),
        (("verify", "passcode", "pin", "identity", "unable_to"), "account_access"),
        (("compromised", "lost_or_stolen", "stolen"), "security"),
        (("terminate",), "cancellation"),
        (("getting_spare", "order_physical", "country", "supported", "age_limit", "how", "get_", "visa"), "how_to"),
    ),
    "bitext_intents": (
        (("cancellation_fee", "cancel_order", "delete_account"), "cancellation"),
        (("refund",), "refund"),
        (("delivery", "shipping", "track_order", "change_order"), "delivery"),
        (("payment", "invoice"), "billing"),
        (("account", "password", "registration"), "account_access"),
        (("agent", "customer_service", "complaint"), "customer_service"),
        (("newsletter",), "other"),
    ),
    "clinc150": (
        (("freeze_account", "report_lost_card", "report_fraud"), "security"),
        (("account_blocked", "pin_change"), "account_access"),
        (("reservation", "book_hotel", "book_flight", "car_rental", "schedule_m"), "booking"),
        (("pay_bill", "bill_due", "bill_balance", "min_payment", "transactions", "card_declined"), "billing"),
        (("interest_rate", "apr", "international_fees"), "pricing"),
        (("lost_luggage", "order_status"), "delivery"),
        (("damaged_card",), "product_quality"),
        (("sync_device", "reset_settings", "change_language", "direct_deposit"), "how_to"),
        (("greeting", "thank_you", "goodbye", "weather", "tell_joke", "meaning_of_life", "are_you_a_bot"), "other"),
    ),
}


def category_of(name, intent):
    """Our category for an intent of the public set `name`, or None."""
    return next((category for words, category in CATEGORY_OF[name] if any(w in intent for w in words)), None)


def own(part, settled=True):
    """Our own messages of `train` or `test`, each with the file it stands in as its group. Of `train` those are left out to which the second,
    blind pass gave another label: nobody settled which is right."""
    rows = []
    for path in sorted((CORPUS / part).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                rows.append(json.loads(line) | {"group": path.stem})
    second = second_pass()
    rows = [r | {"second": second[r["id"]]} if r["id"] in second else r for r in rows]
    return [r for r in rows if part == "test" or not settled or "second" not in r or r["second"]["label"] == r["label"]]


def second_pass():
    """What the second, blind pass said, by the message's id."""
    out = {}
    for path in sorted((CORPUS / "second-pass").glob("*.jsonl")):
        out |= {r["id"]: r for r in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    return out


def digest(text):
    """What tells a public text in our files, which hold none of its words."""
    return hashlib.sha256(text.strip().encode()).hexdigest()


def turns():
    """Our labels of turns of public support dialogues."""
    path = CORPUS / "turns.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def public(folder, name, all_of_it=False, language="en"):
    """At most as many texts of a public set as the table says, English unless told otherwise, always the same ones."""
    digest, _, _, most = (PUBLIC | LABELLED | HELD_OUT)[name]
    path = Path(folder) / f"{name}.jsonl.gz"
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if digest and found != digest:
        raise SystemExit(f"{path} is not the file the figures were made with: its SHA-256 is {found}, not {digest}")
    rows = [json.loads(line) for line in gzip.decompress(data).decode().splitlines()]
    rows = [r for r in rows if r.get("lang", "en") == language and r.get("task", "sentiment") in ("sentiment", "MAMS-ATSA", "MAMS-ACSA")]
    rows = [r for r in rows if len(r["text"].strip()) >= 3]
    random.Random(20261121).shuffle(rows)
    return rows if all_of_it else rows[:most]
