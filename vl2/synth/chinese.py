"""What Chinese documents say: people, places, firms, money, dates and prose, and how lines of it break.

    rng, split --> strings of characters that all Chinese fonts of the pack have

The trap: a line may break between any two Chinese characters, but not before a full stop, nor inside a number.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import ImageFont

from vl2.synth import han, values, writing
from vl2.synth.canvas import text_width
from vl2.synth.ingredients import load_font
from vl2.synth.values import chance, pick

_DIGITS = "零一二三四五六七八九"
_CAPITAL_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_STREETS = ("路", "街", "大道", "巷", "胡同", "大街", "东路", "西路", "南路", "北路")
_FIRMS = (
    "有限公司",
    "科技有限公司",
    "股份有限公司",
    "商店",
    "超市",
    "饭店",
    "书店",
    "药店",
    "贸易公司",
    "餐厅",
    "便利店",
)
_TOKENS = re.compile(r"[A-Za-z0-9@.,:;/%+\-_()#'\"*=&$]+|\s+|.")
# of random numbers, sans end at the first, serif at the second, hand at the third
_SHARES = {"train": (0.36, 0.63, 0.93), "test": (0.45, 0.78, 0.93)}
_NOT_FIRST = set("，。、；：？！”’）》】…％」～")
_NOT_LAST = set("“‘（《【「￥")


def font(path: str, size: float) -> ImageFont.FreeTypeFont:
    """A font at about `size` pixels from line to line of its characters; few distinct sizes keep caches small."""
    step = 1 if size < 24 else 2 if size < 48 else 4
    return load_font(path, max(12, round(size / step) * step))


def choose_font(rng: np.random.Generator, split: str) -> str:
    """A font file; plain faces more often than others; in training handwriting, the harder, nearly as often."""
    kind = ("sans", "serif", "hand", "display")[int(np.searchsorted(_SHARES[split], rng.random()))]
    return pick(rng, han.fonts(split, kind))


@lru_cache(maxsize=4)
def _chances(split: str) -> np.ndarray:
    chances = 1 / np.sqrt(np.arange(len(han.pool("words", split))) + 30.0)
    return np.cumsum(chances / chances.sum())


def words(rng: np.random.Generator, split: str, count: int) -> list[str]:
    """`count` words, frequent ones more often."""
    pool = han.pool("words", split)
    ranks = np.searchsorted(_chances(split), rng.random(count))
    return [pool[min(int(rank), len(pool) - 1)] for rank in ranks]


def word(rng: np.random.Generator, split: str) -> str:
    return words(rng, split, 1)[0]


def thing(rng: np.random.Generator, split: str) -> str:
    """A product: one or two words, at most six characters."""
    return "".join(words(rng, split, 1 if chance(rng, 0.4) else 2))[:6]


def person(rng: np.random.Generator, split: str) -> str:
    """Surname and given name; given names of one character are taken from the words."""
    surname = han.pool("surnames", "shared")[int(min(rng.exponential(30), 250))]
    if chance(rng, 0.5):
        return surname + pick(rng, han.pool("given_names", split))
    first = word(rng, split)
    return surname + (first[:1] if chance(rng, 0.4) else first[:2])


def city(rng: np.random.Generator, split: str) -> str:
    """A town."""
    name = pick(rng, han.pool("cities", split))
    return name if name[-1] in "市县区" or chance(rng, 0.3) else name + pick(rng, ("市", "县", "区"))


def street(rng: np.random.Generator, split: str) -> str:
    """Street and number."""
    name = word(rng, split)[:3] + pick(rng, _STREETS)
    number = f"{int(rng.integers(1, 999))}号"
    if chance(rng, 0.3):
        number += f"{int(rng.integers(1, 30))}室" if chance(rng, 0.4) else f"{int(rng.integers(1, 20))}楼"
    return name + number


def address(rng: np.random.Generator, split: str) -> str:
    return city(rng, split) + street(rng, split)


def company(rng: np.random.Generator, split: str) -> str:
    """A firm or a shop."""
    head = pick(rng, han.pool("companies", split)) if chance(rng, 0.3) else word(rng, split)
    place = city(rng, split).rstrip("市县区") if chance(rng, 0.3) else ""
    return place + head[:4] + pick(rng, _FIRMS)


def phone(rng: np.random.Generator) -> str:
    """A mobile or a fixed number."""
    pattern = pick(
        rng,
        ("13#########", "15#########", "186########", "138 #### ####", "0##-########", "010-########", "400-###-####"),
    )
    return values.digits(rng, pattern)


def money(rng: np.random.Generator, cents: int, form: str) -> str:
    """An amount in one of MONEY_FORMS."""
    return form.format(f"{cents / 100:,.2f}" if cents >= 100_000 and chance(rng, 0.6) else f"{cents / 100:.2f}")


MONEY_FORMS = ("￥{}", "￥{}", "{}元", "{}", "{}", "￥ {}", "RMB {}", "人民币{}元")


def amount_in_words(cents: int) -> str:
    """An amount as cheques and invoices spell it: 壹佰贰拾叁元肆角伍分."""
    whole, rest = divmod(cents, 100)
    parts, zero = "", False
    digits = f"{whole}"
    units = ("", "拾", "佰", "仟")
    for place, digit in enumerate(digits):
        power = len(digits) - 1 - place
        if digit == "0":
            zero = True
        else:
            parts += ("零" if zero and parts else "") + _CAPITAL_DIGITS[int(digit)] + units[power % 4]
            zero = False
        if power == 4 and parts:
            parts += "万"
    parts = (parts or "零") + "元"
    if not rest:
        return parts + "整"
    tens, ones = divmod(rest, 10)
    parts += f"{_CAPITAL_DIGITS[tens]}角" if tens else "零" if ones else ""
    return parts + (f"{_CAPITAL_DIGITS[ones]}分" if ones else "")


def date(rng: np.random.Generator) -> str:
    """A date between 1990 and 2029, mostly with Chinese units."""
    draw = rng.random(3)
    year, month, day = 1990 + int(40 * draw[0] ** 0.5), 1 + int(12 * draw[1]), 1 + int(28 * draw[2])
    forms = (
        f"{year}年{month}月{day}日", f"{year}年{month:02}月{day:02}日", f"{year}-{month:02}-{day:02}",
        f"{year}/{month}/{day}", f"{year}.{month:02}.{day:02}", f"{month}月{day}日",
        "".join(_DIGITS[int(c)] for c in str(year)) + f"年{_spelt(month)}月{_spelt(day)}日",
    )  # fmt: skip
    return pick(rng, forms)


def _spelt(number: int) -> str:
    """A number below 100 in characters."""
    tens, ones = divmod(number, 10)
    head = "" if not tens else "十" if tens == 1 else _DIGITS[tens] + "十"
    return head + (_DIGITS[ones] if ones else "")


def time(rng: np.random.Generator) -> str:
    hour, minute = int(rng.integers(6, 24)), int(rng.integers(60))
    half = "上午" if hour < 12 else "下午"
    return pick(
        rng, (f"{hour:02}:{minute:02}", f"{half}{(hour - 1) % 12 + 1}点{minute:02}分", f"{hour}时{minute:02}分")
    )


def number(rng: np.random.Generator) -> str:
    """A number with a unit or the sign of a share."""
    value = int(10 ** rng.uniform(0, 5))
    return pick(rng, (
        f"{value}个", f"{value}元", f"{value / 10:.1f}％", f"{value % 100}%", f"第{value % 100}页", f"{value}公里",
        f"约{value}人", f"{value / 100:.2f}万元", f"{value % 500}克", f"No.{value:06d}", f"编号{value:05d}",
    ))  # fmt: skip


def random_characters(rng: np.random.Generator, count: int) -> str:
    """Characters that make no sense, rare ones as often as frequent ones: nothing but looking helps."""
    pool = han.characters()
    return "".join(pool[index] for index in rng.integers(len(pool), size=count).tolist())


def sentence(rng: np.random.Generator, split: str) -> str:
    return pick(rng, han.pool("sentences", split))


def mixed(rng: np.random.Generator, split: str) -> str:
    """Chinese with English words between, as in manuals and on packages."""
    parts: list[str] = []
    for _ in range(int(rng.integers(2, 5))):
        parts.append("".join(words(rng, split, int(rng.integers(1, 4)))))
        if chance(rng, 0.6):
            parts.append(writing.cased(rng, writing.sample_words(rng, split, 1)[0]))
    joint = " " if chance(rng, 0.7) else ""
    return joint.join(parts)


def entry(rng: np.random.Generator, split: str) -> str:
    """Something out of a document."""
    kind = int(rng.integers(8))
    if kind == 0:
        return money(rng, int(10 ** rng.uniform(2, 7)), pick(rng, MONEY_FORMS))
    if kind == 1:
        return amount_in_words(int(10 ** rng.uniform(2, 7)))
    makers = (date, time, phone, number)
    if kind < 6:
        return makers[kind - 2](rng)
    return (person if kind == 6 else pick(rng, (company, address)))(rng, split)


KEYS = (
    "姓名", "日期", "电话", "地址", "编号", "金额", "数量", "单位", "备注", "合计", "时间", "部门", "类型", "型号",
    "产地",
    "规格", "单价", "邮编", "收件人", "负责人", "性别", "年龄", "职务", "学校", "班级", "房间", "座位", "班次",
    "状态", "等级",
)  # fmt: skip


def prose(rng: np.random.Generator, split: str, length: int) -> str:
    """Sentences, or words and random characters with stops between, of at least `length` characters."""
    parts: list[str] = []
    kind = rng.random()
    while sum(map(len, parts)) < length:
        if kind < 0.5:
            parts.append(sentence(rng, split))
        else:
            count = int(rng.integers(3, 9))
            body = "".join(words(rng, split, count)) if kind < 0.85 else random_characters(rng, 2 * count)
            if chance(rng, 0.4):
                middle = int(rng.integers(1, len(body)))
                body = body[:middle] + pick(rng, ("，", "，", "、", "：")) + body[middle:]
            parts.append(body + pick(rng, ("。", "。", "。", "！", "？", "；")))
    return "".join(parts)


def any_line(rng: np.random.Generator, split: str) -> str:
    """One line of any kind; a quarter are random characters."""
    kind = rng.random()
    if kind < 0.22:
        return random_characters(rng, int(rng.integers(1, 16)))
    if kind < 0.42:
        return "".join(words(rng, split, int(rng.integers(1, 8))))
    if kind < 0.6:
        return sentence(rng, split)
    if kind < 0.72:
        return mixed(rng, split)
    if kind < 0.9:
        return entry(rng, split)
    return f"{pick(rng, KEYS)}{pick(rng, ('：', ':', '： '))}{entry(rng, split)}"


def fit(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """The text without its last characters, so that it is no wider than `width` pixels."""
    while len(text) > 1 and text_width(text, face) > width:
        text = text[: min(len(text) - 1, max(1, int(len(text) * width / text_width(text, face))))].rstrip()
    return text


def wrap(text: str, face: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines no wider than `width` pixels."""
    lines: list[str] = []
    current: list[str] = []
    used = 0.0
    for token in _TOKENS.findall(text):
        wide = text_width(token, face)
        if current and used + wide > width:
            carried = _carried(current, token)
            lines.append("".join(current).rstrip())
            current, used = carried, text_width("".join(carried), face)
            if token.isspace():
                continue
        if not current and (token.isspace() or wide > width):
            token = fit(token.strip(), face, width)
            wide = text_width(token, face)
        current.append(token)
        used += wide
    return [line for line in (*lines, "".join(current).rstrip()) if line]


def _carried(current: list[str], token: str) -> list[str]:
    """Tokens that must go down to the next line with `token`; they are taken off the current one."""
    carried: list[str] = []
    first = token
    while len(current) > 1 and (first[0] in _NOT_FIRST or current[-1][-1] in _NOT_LAST):
        first = current.pop()
        carried.insert(0, first)
    return carried


def ask(rng: np.random.Generator, wordings: Sequence[str], **slots: object) -> str:
    """One of the wordings with its slots filled."""
    return pick(rng, wordings).format(**slots)
