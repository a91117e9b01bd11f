"""One interface to what English and Chinese documents say, so that a document is written once for both.

    language(rng, split, "en" | "zh") --> Language: fonts, names, amounts, dates, prose, line breaks
    Language.say("total") --> one of the labels of LABELS in that language

The trap: amounts of one document share a style, so a Language belongs to one document.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageFont

from vl2.synth import blocks, chinese, han, values, writing
from vl2.synth.canvas import text_width
from vl2.synth.ingredients import fonts
from vl2.synth.values import Style, pick

Font = ImageFont.FreeTypeFont


def _said(block: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Rows "key: English|labels: Chinese|labels" to a dictionary."""
    rows = [row.split(":") for row in block.strip().splitlines()]
    return {key.strip(): (tuple(en.strip().split("|")), tuple(zh.strip().split("|"))) for key, en, zh in rows}


LABELS = _said(
    """invoice: Invoice|INVOICE|Tax Invoice|Commercial Invoice: 发票|增值税发票|销售单|收款通知单|账单
    invoice_no: Invoice No.|Invoice #|Invoice number|No.: 发票号码|单号|发票编号|编号
    date: Date|Invoice date|Issued|Date of issue: 日期|开票日期|开具日期
    due: Due date|Payment due|Pay by|Due: 付款期限|到期日|应付日期
    seller: From|Seller|Supplier|Vendor: 销售方|卖方|供应商|收款单位
    buyer: Bill to|Customer|Client|Sold to|Invoice to: 购买方|客户|买方|付款单位
    order: Order No.|PO number|Order|Reference: 订单号|合同编号|采购单号
    item: Description|Item|Product|Details: 品名|项目|商品名称|货物名称
    quantity: Qty|Quantity|Units|Pcs: 数量|件数
    price: Unit price|Price|Rate: 单价|价格
    amount: Amount|Total|Line total|Sum: 金额|小计|价款
    subtotal: Subtotal|Net amount|Net|Sum: 小计|不含税金额|金额合计
    tax: VAT|Tax|Sales tax|GST: 税额|增值税|税金
    total: Total|Total due|Amount due|Grand total|TOTAL: 合计|价税合计|应付总额|总计
    phone: Phone|Tel.|Telephone|Mobile: 电话|联系电话|手机
    email: Email|E-mail: 邮箱|电子邮箱
    address: Address|Street: 地址|住址|联系地址
    bank: Account|IBAN|Bank account: 账号|银行账号|收款账号
    name: Name|Full name: 姓名|名字
    birth: Date of birth|Born|Birth date: 出生日期|出生|生日
    gender: Sex|Gender: 性别
    nationality: Nationality|Country|Region: 籍贯|地区|国籍
    card_no: ID No.|Card No.|Member No.|Number|Licence No.: 证件号|编号|卡号|证号
    issued: Issued|Issue date|Valid from: 发证日期|签发日期|有效期自
    expires: Expires|Valid until|Expiry date|Valid thru: 有效期至|有效期限|截止日期
    authority: Issued by|Authority|Issuer: 发证机关|签发机关|发证单位
    position: Position|Title|Role|Job title: 职务|职位|岗位
    department: Department|Dept.|Team|Division: 部门|院系|科室
    signature: Signature|Holder's signature|Signed: 签名|持证人签名
    to: To|Attn.: 收件人|致
    subject: Subject|Re|Regarding: 主题|事由|关于
    reference: Our ref.|Ref.|File: 文号|档案号|参考编号
    """
)


@dataclass(frozen=True)
class Language:
    """What one document needs of its language."""

    code: str
    rng: np.random.Generator
    split: str
    style: Style
    money_form: str

    @property
    def zh(self) -> bool:
        return self.code == "zh"

    def say(self, key: str) -> str:
        """A label."""
        return pick(self.rng, LABELS[key][self.zh])

    def choose(self, english: Sequence[str], chinese_ones: Sequence[str]) -> str:
        """One of the texts of this language."""
        return pick(self.rng, chinese_ones if self.zh else english)

    def font_file(self, kind: str) -> str:
        """A font file of a kind: sans, serif, mono, hand."""
        if self.zh:
            return pick(self.rng, han.fonts(self.split, "sans" if kind == "mono" else kind))
        return pick(self.rng, fonts(self.split, kind))

    def font(self, path: str, height: float) -> Font:
        """The font whose lines are about `height` pixels from capital to descender, larger for Chinese."""
        return chinese.font(path, 1.22 * height) if self.zh else blocks.font_of_height(path, 0.76 * height)

    def person(self) -> str:
        return chinese.person(self.rng, self.split) if self.zh else self._english_person()

    def _english_person(self) -> str:
        return f"{values.name(self.rng, self.split)} {values.name(self.rng, self.split)}"

    def company(self) -> str:
        return (chinese if self.zh else values).company(self.rng, self.split)

    def street(self) -> str:
        return (chinese if self.zh else values).street(self.rng, self.split)

    def city(self) -> str:
        return (chinese if self.zh else values).city(self.rng, self.split)

    def address(self) -> str:
        return chinese.address(self.rng, self.split) if self.zh else f"{self.street()}, {self.city()}"

    def phone(self) -> str:
        return (chinese if self.zh else values).phone(self.rng)

    def email(self) -> str:
        return values.email(self.rng, self.split)

    def code_number(self) -> str:
        return values.code(self.rng)

    def date(self) -> str:
        return chinese.date(self.rng) if self.zh else values.date(self.rng, self.style)

    def money(self, cents: int, *, sign: bool = True) -> str:
        if self.zh:
            return chinese.money(self.rng, cents, self.money_form if sign else "{}")
        return values.money(self.style, cents, sign=sign)

    def thing(self) -> str:
        return (chinese if self.zh else values).thing(self.rng, self.split)

    def word(self) -> str:
        return (chinese if self.zh else values).word(self.rng, self.split)

    def fit_word(self, most: int) -> str:
        """A word with a capital, at most `most` letters."""
        return self.word()[:most] if self.zh else self.word()[:most].capitalize()

    def title(self, count: int) -> str:
        """A heading of a few words."""
        if self.zh:
            return "".join(chinese.words(self.rng, self.split, count))
        return " ".join(word.capitalize() for word in writing.sample_words(self.rng, self.split, count))

    def prose(self, length: int) -> str:
        """Sentences of about `length` letters (half as many Chinese characters)."""
        if self.zh:
            return chinese.prose(self.rng, self.split, max(8, int(0.45 * length)))
        return blocks.prose(self.rng, self.split, length)

    def phrase(self, length: int) -> str:
        """A piece of text of at most `length` letters."""
        if self.zh:
            return self.prose(length)[: max(4, int(0.5 * length))].rstrip("，。、；：？！“（《「")
        return writing.cut(writing.sentence_line(self.rng, self.split, length), length)

    def wrap(self, text: str, font: Font, width: float) -> list[str]:
        return (chinese if self.zh else blocks).wrap(text, font, width)

    def fit(self, text: str, font: Font, width: float) -> str:
        return (chinese if self.zh else blocks).fit(text, font, width)

    @property
    def colon(self) -> str:
        return "：" if self.zh else ":"

    def fits(self, text: str, font: Font, width: float) -> bool:
        return text_width(text, font) <= width


def language(rng: np.random.Generator, split: str, code: str) -> Language:
    """A language with the style of one document."""
    return Language(code, rng, split, values.choose_style(rng), pick(rng, chinese.MONEY_FORMS))
