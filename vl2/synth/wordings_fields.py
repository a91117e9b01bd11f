"""What schemas call the values of documents: names of fields in words, and descriptions of them.

    ("receipt", "total") --> "total", "amount due", ... to be spelled total, amountDue, amount_due
                             "the total amount", "How much was paid in all?", ... as a schema describes it

Slots: {item} a line of a table or the label of a form, {doc} what a receipt calls itself. The trap: no name may stand
under two kinds of a document, or nobody could tell which one is asked for.
"""

from functools import cache

from vl2.synth.langs import LABELS
from vl2.synth.wordings_receipts import RECEIPT_NOUNS, RECEIPT_WHOLES

_SUMS = {
    "total": "total|total amount|amount due|grand total|total price|total due|amount|total cost|amount to pay|sum",
    "subtotal": "subtotal|sub total|net amount|net total|amount before tax|subtotal amount|net",
    "tax": "tax|tax amount|vat|sales tax|total tax|vat amount|gst|taxes",
    "num_items": "item count|number of items|num items|items count|line count",
    "item_quantity": "{item} quantity|quantity of {item}|{item} qty|number of {item}|{item} count",
    "phone": "phone|phone number|telephone|tel|contact number|telephone number",
}


def _questions(wholes: str) -> str:
    """A description that ends so is asked as it is."""
    return wholes and f"{wholes}?".replace("|", "?|")


# document -> kind -> names
_NAMES: dict[str, dict[str, str]] = {
    "receipt": _SUMS
    | {
        "store": "store|shop|store name|shop name|merchant|merchant name|vendor|seller|company|business name|retailer",
        "date": "date|purchase date|transaction date|receipt date|date of purchase|sale date|issue date",
        "time": "time|purchase time|transaction time|time of purchase|receipt time",
        "discount": "discount|discount amount|reduction|savings",
        "tip": "tip|gratuity|tip amount|service charge",
        "change": "change|change due|change given|change amount",
        "paid": "amount tendered|cash received|cash given|cash tendered|tendered",
        "payment": "payment method|payment type|payment|paid by|method of payment|paid with",
        "number": "{doc} number|{doc} no|{doc} id|number|document number|reference number",
        "address": "address|street address|store address|location|shop address",
        "city": "city|town|store city",
        "cashier": "cashier|cashier name|server|clerk|employee|served by|operator",
        "customer": "customer|customer name|client|buyer|billed to|client name",
        "table": "table|table number|table no",
        "due": "due date|payment due|pay by|payment deadline|payment due date",
        "item_price": "{item} price|price of {item}|{item} cost|{item} amount|cost of {item}",
    },
    "invoice": _SUMS
    | {
        "invoice_no": "invoice number|invoice no|invoice id|number|document number|invoice num",
        "date": "date|invoice date|issue date|date of issue|issued on|billing date",
        "due": "due date|payment due|pay by|payment deadline|payment due date",
        "seller": "seller|vendor|supplier|vendor name|seller name|supplier name|issuer|issued by",
        "buyer": "buyer|customer|client|bill to|customer name|client name|buyer name|recipient",
        "order": "order number|po number|purchase order|order no|order id",
        "bank": "bank account|account number|iban|bank account number",
        "email": "email|customer email|email address|buyer email",
        "address": "address|customer address|billing address|buyer address",
        "item_amount": "{item} amount|{item} total|amount for {item}|total for {item}|line total of {item}",
    },
    "card": {
        "name": "name|full name|holder|card holder|holder name|name of the holder",
        "birth": "date of birth|birth date|birthday|dob|born",
        "gender": "gender|sex",
        "nationality": "nationality|country|region",
        "card_no": "card number|id number|number|card no|id|member number",
        "issued": "issue date|issued|date of issue|valid from|issued on",
        "expires": "expiry date|expires|valid until|expiration date|valid thru|expires on",
        "authority": "issuer|issued by|authority|issuing authority",
        "position": "position|role|job title|job",
        "department": "department|dept|division|team",
        "phone": "phone|phone number|telephone|tel|mobile",
        "address": "address|street|street address|home address",
        "company": "company|company name|organisation|employer|firm",
        "title": "card type|kind of card|card title|document type|type of card|heading",
    },
    "form": {
        "title": "title|form title|form name|heading|document title",
        "field": "{item}",
        "group": "{item}|{item} option|{item} choice",
        "ticked": "{item}",
    },
}
_DESCRIPTIONS: dict[str, dict[str, str]] = {
    "receipt": {
        kind: f"{RECEIPT_NOUNS[f'receipt.{kind}']}|{_questions(RECEIPT_WHOLES.get(f'receipt.{kind}', ''))}"
        for kind in _NAMES["receipt"]
    },
    "invoice": {
        "invoice_no": "the number of the invoice|the invoice's number|which number does the invoice have?",
        "date": "the date of the invoice|the day it was issued|when was it issued?|the invoice date, as printed",
        "due": "the date by which to pay|the last day to pay|when is payment due?|by when must it be paid?",
        "seller": "the company that sends the invoice|the name of the seller|who issued the invoice?|who sells?",
        "buyer": "the one who is billed|the name of the customer|who has to pay?|who is billed?",
        "order": "the number of the order|the purchase order number|which order is it for?",
        "bank": "the bank account to pay to|the number of the bank account|to which account is it paid?",
        "email": "the email address of the customer|the customer's email|how can one write to the customer?",
        "phone": "the phone number of the customer|the customer's telephone|what number can one call?",
        "address": "the address of the customer|the customer's address|where is the customer?",
        "subtotal": "the sum before tax|the amount without tax|how much is it before tax?",
        "tax": "the amount of tax|the tax to pay|how much tax is there?|how much is the VAT?",
        "total": "the total amount|the amount to pay|the total with tax|how much is it in all?|how much is due?",
        "num_items": "the number of items in the table|how many items are listed?|how many lines does the table have?",
        "item_amount": "the amount for {item}|the total for {item}|how much is {item} in all?",
        "item_quantity": "the quantity of {item}|how many {item} were ordered?|the number of {item}",
    },
    "card": {
        "name": "the name of the person|the holder's full name|who holds this card?|whose card is this?",
        "birth": "the date of birth|the day of birth|when was the holder born?",
        "gender": "the sex of the holder|the holder's gender, as printed",
        "nationality": "the nationality of the holder|the country of the holder",
        "card_no": "the number of the card|the card's number|which number does the card have?",
        "issued": "the date of issue|the day the card was issued|when was the card issued?",
        "expires": "the date until which the card is valid|the expiry date|when does the card expire?",
        "authority": "the authority that issued the card|who issued the card?",
        "position": "the position of the holder|the holder's job|what does the holder work as?",
        "department": "the department of the holder|the holder's department|which department is it?",
        "phone": "the phone number on the card|the telephone number|what number can one call?",
        "address": "the address on the card|the holder's address|where does the holder live?",
        "company": "the name of the company|the company on the card|which company is it?",
        "title": "the title of the card|the heading of the card|what kind of card is this?",
    },
    "form": {
        "title": "the title of the form|what form is this?|the heading of the form|the name of the form",
        "field": "the {item}|the entry for {item}|the value of {item}|what is filled in for {item}?|{item}, as written",
        "group": "the option ticked for {item}|which option is ticked for {item}?|what is chosen for {item}?",
        "ticked": "the box for {item}|the option {item}|is {item} ticked?|is the box for {item} checked?",
    },
}  # fmt: skip
_NAMES_ZH: dict[str, dict[str, str]] = {
    "receipt": {
        "store": "商店名称|店名|商店|商户名称",
        "date": "日期|购买日期|交易日期",
        "number": "单号|小票号|流水号",
        "cashier": "收银员|收银员姓名",
        "phone": "电话|联系电话|商店电话",
        "address": "地址|商店地址",
        "total": "合计|总金额|应付金额|总计|总价",
        "payment": "付款方式|支付方式",
        "paid": "实收|实收金额",
        "change": "找零|找零金额",
        "item_price": "{item}的价格|{item}金额|{item}的金额|{item}价格",
        "item_quantity": "{item}的数量|{item}数量",
    },
    "invoice": {
        "num_items": "商品种数|项目数",
        "item_amount": "{item}的金额|{item}金额",
        "item_quantity": "{item}的数量|{item}数量",
    },
    "card": {"company": "公司|公司名称", "title": "证件名称|卡片标题|证件类型"},
    "form": {"title": "表名|表格标题|标题", "field": "{item}", "group": "{item}|{item}选项"},
}


@cache
def names(document: str, kind: str, *, chinese: bool = False) -> tuple[str, ...]:
    """What fields of this kind are called; none if documents of this sort have no such kind.

    Args:
        document: "receipt", "invoice", "card", "form".
        chinese: whether in Chinese.
    """
    if not chinese:
        return _options(_NAMES[document].get(kind, ""))
    if kind in _NAMES_ZH[document]:
        return _options(_NAMES_ZH[document][kind])
    has_labels = document != "receipt" and kind in LABELS and kind in _NAMES[document]
    return LABELS[kind][True] if has_labels else ()


@cache
def descriptions(document: str, kind: str) -> tuple[str, ...]:
    """Nouns and questions that describe a field of this kind, in English."""
    return _options(_DESCRIPTIONS[document].get(kind, ""))


def kinds(document: str) -> tuple[str, ...]:
    """All kinds of values that a document of this sort may say."""
    return tuple(_NAMES[document])


def _options(text: str) -> tuple[str, ...]:
    return tuple(option for option in text.split("|") if option)
