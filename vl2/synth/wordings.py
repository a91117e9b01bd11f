"""Questions in people's own words: many wordings of each question about receipts, forms, tables and charts.

    kind "receipt.total" --noun or whole--> "the amount due" in "what is {}" | "how much did i pay"
         --slots, quotes--> words --manner (case, question mark, politeness, answer hint)--> the question

A kind has nouns ("the total|the amount due"), put into a carrier sentence, and whole questions of its own. Slots such as
{row} are filled with words that stand on the image. Wordings are structural: both splits share them, only the words in
the slots are of the split. The trap: templates are written in lower case without a question mark; `ask` decides the manner.
"""

import re

import numpy as np

from vl2.synth.wordings_charts import CHART_NOUNS, CHART_WHOLES

# Sentences around a noun phrase. Those that start a question word take a question mark, the others a full stop or nothing.
CARRIERS: tuple[str, ...] = tuple(
    """what is {}|what is {}|what is {}|what's {}|what's {}|which is {}|tell me {}|give me {}|find {}|read {}
    could you tell me {}|can you read {}|can you find {}|please give {}|i need {}|i'd like to know {}|look for {}
    extract {}|write out {}|show me {}|do you see {}|what would be {}|report {}|state {}|{}|{}|return {}|look up {}
    what does it say for {}|what do you read as {}|copy {} from the image|identify {}|let me know {}|please read {}
    what is given as {}|what is printed as {}|could you read out {}|i am looking for {}|get {}""".replace("\n", "|").split("|")
)
CARRIERS = tuple(carrier.strip() for carrier in CARRIERS)

# kind -> noun phrases, to be put into a carrier
NOUNS: dict[str, str] = {
    "receipt.store": "the store name|the name of the store|the name of the shop|the merchant|the business name|the vendor"
    "|the company that issued this|the name at the top|the seller's name|the name of the company|the merchant name",
    "receipt.date": "the date|the date of purchase|the purchase date|the date on the receipt|the transaction date|the day of the sale"
    "|the printed date|the date of this document|the issue date",
    "receipt.due": "the due date|the payment due date|the date by which to pay|the payment deadline|the last day to pay",
    "receipt.time": "the time|the time of purchase|the time on the receipt|the hour of the sale|the transaction time|the printed time"
    "|the time of day",
    "receipt.total": "the total|the total amount|the grand total|the amount due|the final amount|the total price|the total cost"
    "|the total on this receipt|the overall total|the full amount|the sum to pay|the total payable|the bill total",
    "receipt.subtotal": "the subtotal|the sub-total|the amount before tax|the subtotal amount|the price before tax|the net amount"
    "|the sum without tax",
    "receipt.tax": "the tax|the tax amount|the amount of tax|the tax charged|the sales tax|the tax on this purchase|the tax paid"
    "|the vat",
    "receipt.discount": "the discount|the discount amount|the amount taken off|the reduction|the money off|the savings",
    "receipt.tip": "the tip|the tip amount|the gratuity|the amount of the tip|the service charge",
    "receipt.change": "the change|the change given|the amount of change|the change due|the money given back",
    "receipt.paid": "the amount tendered|the cash received|the amount handed over|the money given by the customer"
    "|the cash amount",
    "receipt.item_price": "the price of {item}|the cost of {item}|the amount for {item}|the price for {item}|the price next to {item}"
    "|the line total of {item}|the charge for {item}",
    "receipt.unit_price": "the unit price of {item}|the price per unit of {item}|the price of a single {item}|the rate of {item}"
    "|the price each for {item}",
    "receipt.item_quantity": "the quantity of {item}|the number of {item}|the qty for {item}|the amount of {item} bought"
    "|the count of {item}|the quantity for {item}|the ordered quantity of {item}",
    "receipt.num_items": "the number of items|the number of different items|the count of line items|the number of products listed"
    "|how many lines of items there are",
    "receipt.dearest": "the most expensive item|the priciest item|the item with the highest price|the costliest product"
    "|the item that cost the most|the dearest thing on the list",
    "receipt.cheapest": "the cheapest item|the least expensive item|the item with the lowest price|the lowest priced product"
    "|the item that cost the least",
    "receipt.item_for_price": "the item that costs {price}|the product with a price of {price}|the item priced at {price}"
    "|the thing that cost {price}|the item next to {price}|the name of the item for {price}",
    "receipt.first_item": "the first item|the item at the top of the list|the first product listed|the name of the first item"
    "|the first thing on the list|the first line item",
    "receipt.last_item": "the last item|the item at the bottom of the list|the last product listed|the name of the last item"
    "|the final item on the list|the last line item",
    "receipt.payment": "the payment method|the way it was paid|the method of payment|the payment type|the form of payment"
    "|the means of payment",
    "receipt.number": "the {doc} number|the number of this {doc}|the {doc} no|the {doc} id|the reference number|the {doc} code"
    "|the document number|the {doc} #",
    "receipt.phone": "the phone number|the telephone number|the contact number|the number to call|the store's phone number"
    "|the phone|the telephone",
    "receipt.address": "the address|the street address|the store's address|the location of the store|the street and number"
    "|the address of the shop",
    "receipt.city": "the city|the city of the store|the city and postal code|the town on the second line of the address",
    "receipt.cashier": "the cashier|the name of the cashier|the cashier's name|the person at the till|the clerk|the server's name"
    "|the name of the employee",
    "receipt.customer": "the customer|the customer name|the name of the customer|the client|the buyer|the person billed"
    "|the name under bill to|the recipient",
    "receipt.table": "the table number|the table|the number of the table|the table no",
    "form.value": "the {field}|{field}|the value of {field}|the value of the field {field}|the entry for {field}|the {field} on this form"
    "|the content of the {field} field|the text next to {field}|the answer given for {field}|the {field} entry|the value for {field}",
    "form.ticked_list": "the ticked option|the checked box|the selected option|the option that is marked|the box that is ticked"
    "|the marked choice",
    "form.group": "the {group} that is ticked|the selected {group}|the checked option under {group}|the choice for {group}"
    "|the option marked for {group}|the {group}|the ticked box in the {group} row",
    "form.title": "the title|the title of the form|the heading|the name of this form|the title at the top|the form's title"
    "|the headline of the document",
    "form.field_of": "the field that contains {value}|the label of {value}|the name of the field with {value}|the field that says {value}"
    "|the label next to {value}|the field filled in with {value}",
    "table.cell": "the {col} of {row}|the {col} for {row}|the value of {col} for {row}|the value in row {row}, column {col}|{row}'s {col}"
    "|the {col} in the row {row}|the entry under {col} for {row}|the cell at row {row} and column {col}|the {col} value of {row}"
    "|the number under {col} in the {row} row|the {col} listed for {row}",
    "table.at": "the value in row {i} of the column {col}|the {col} in row {i}|the {col} of the {nth} row|the {nth} entry under {col}"
    "|the {nth} value in the {col} column",
    "table.highest": "the {key} with the highest {col}|the {key} with the largest {col}|the {key} with the most {col}|the row with the highest {col}"
    "|the {key} that has the greatest {col}|the one with the maximum {col}|the {key} with the biggest {col}",
    "table.lowest": "the {key} with the lowest {col}|the {key} with the smallest {col}|the {key} with the least {col}|the row with the lowest {col}"
    "|the {key} that has the minimum {col}|the one with the smallest {col}",
    "table.max": "the highest {col}|the largest {col}|the maximum {col}|the biggest value in {col}|the highest value in the {col} column"
    "|the top {col}",
    "table.min": "the lowest {col}|the smallest {col}|the minimum {col}|the smallest value in {col}|the lowest value in the {col} column"
    "|the least {col}",
    "table.num_rows": "the number of rows|the number of data rows|the row count|the number of entries|the number of records"
    "|the number of rows without the header",
    "table.num_columns": "the number of columns|the column count|how many columns the table has|the amount of columns",
    "table.headers": "the column headers|the names of the columns|the column names|the headings of the columns|the list of column headers"
    "|the header row|the titles of the columns",
    "table.lookup": "the {key} whose {col} is {value}|the {key} with {col} {value}|the {key} with a {col} of {value}|the row that has {value} under {col}"
    "|the {key} for which {col} equals {value}|the {key} where {col} is {value}|the one with {value} in the {col} column",
    "table.title": "the title|the table title|the title of the table|the heading above the table|the caption of the table"
    "|the name of the table",
    "table.first": "the first {key}|the {key} in the first row|the first entry under {key}|the top {key} in the table",
    "table.last": "the last {key}|the {key} in the last row|the last entry under {key}|the bottom {key} in the table",
    **CHART_NOUNS,
}

# kind -> whole questions of its own
WHOLES: dict[str, str] = {
    "receipt.store": "where was this bought|which store is this from|who issued this receipt|what shop is this|where did i shop"
    "|which company is this receipt from|who is the seller|which shop printed this",
    "receipt.date": "when was this bought|on which day was this purchase made|when was this issued|what day is on it|on what date was it paid"
    "|when did the purchase happen|which date is shown",
    "receipt.due": "when is payment due|by when must this be paid|when do i have to pay|until when can it be paid|pay by what date"
    "|when does the payment have to arrive|how long is there to pay, until which date|what is the latest date to pay"
    "|which date is the deadline|by what day should it be settled",
    "receipt.time": "at what time was this bought|what time is printed|when exactly was it, what time|at what hour was the purchase|what time was it"
    "|at which time was it paid|what time does it show|what o'clock was it",
    "receipt.total": "how much did i pay|how much is it in total|how much was paid in all|what do i owe|how much does everything cost"
    "|what did it all come to|how much money was spent|what was the final price|how much is the bill|what does it add up to",
    "receipt.subtotal": "how much is it before tax|what is the sum before tax|how much was it without tax|what did the items come to before tax"
    "|how much before taxes are added|what was it before the tax|how much is the sub total|what does the subtotal line say",
    "receipt.tax": "how much tax was paid|how much tax is there|how much tax did they charge|what was charged as tax|how much is the vat"
    "|how much goes to tax|how much of it is tax|what does the tax line say",
    "receipt.discount": "how much was taken off|how much was the discount|how much did i save|what was deducted|how big is the discount"
    "|how much did the price go down|what reduction was given|how much was saved|how much money off was there",
    "receipt.tip": "how much was the tip|how much tip was given|what tip did they leave|how much gratuity was added|what was tipped"
    "|how much went to the waiter|how much did they tip|how much service was charged|what was left as a tip|how large is the tip",
    "receipt.change": "how much change was given|how much came back|what change did the customer get|how much money was returned|how much change is due"
    "|how much did i get back|what did the cashier give back|how much was handed back|how much change did i get|what was returned",
    "receipt.paid": "how much cash was given|how much did the customer hand over|how much was tendered|with how much cash was it paid"
    "|how much money was received|how much did the customer give|what did the customer pay with in cash|how much cash was paid"
    "|how much was received|what amount was given",
    "receipt.item_price": "how much is {item}|how much does {item} cost|how much was {item}|what does {item} cost|how much did i pay for {item}"
    "|{item} costs how much|how much did {item} come to|what was charged for {item}|how expensive is {item}",
    "receipt.unit_price": "how much is one {item}|what does a single {item} cost|how much is {item} each|how much per {item}|what is one {item} worth"
    "|what does each {item} cost|how much for one {item}|how much does one {item} cost|{item}: price each|what is {item} per piece",
    "receipt.item_quantity": "how many {item} were bought|how many {item} are there|how many {item} did i buy|how many of {item} were sold"
    "|how many {item}|how many units of {item}|how many pieces of {item}|how many times was {item} bought",
    "receipt.num_items": "how many items are listed|how many different products were bought|how many items are on the receipt|how many things were bought"
    "|how many lines are in the item list|how many items are there|how many products are listed|how many different things are on it"
    "|how many articles are there|count the items on the list|how many item lines do you see",
    "receipt.dearest": "which item is the most expensive|what cost the most|which product is the priciest|what was the most expensive thing|which item has the highest price"
    "|on what was most of the money spent|which one is the dearest|which line has the biggest amount|what is the costliest",
    "receipt.cheapest": "which item is the cheapest|what cost the least|which product has the lowest price|what was the cheapest thing|which item is least expensive"
    "|which line has the smallest amount|which of these is the cheapest|which is the lowest priced|what is the cheapest|which one costs least",
    "receipt.item_for_price": "which item costs {price}|what costs {price}|what was bought for {price}|which product has the price {price}|{price} is the price of what"
    "|which thing costs {price}|what did they pay {price} for|which line shows {price}|what item is {price}|for what was {price} paid",
    "receipt.first_item": "what is listed first|which item comes first|what is on the first line of the list|which product is at the top|what was scanned first"
    "|what starts the list|which item is first|what is the top item|what comes first on the list|which one is listed first",
    "receipt.last_item": "what is listed last|which item comes last|what is on the last line of the list|which product is at the bottom|what was scanned last"
    "|what ends the list|which item is last|what is the bottom item|what comes last on the list|which one is listed last",
    "receipt.payment": "how was it paid|how did the customer pay|was it paid by cash or card|what was used to pay|how was this paid for|with what was it paid"
    "|which card or cash was used|paid with what|what payment was used|how was the bill settled",
    "receipt.number": "what number does this {doc} have|which {doc} number is it|what is this {doc}'s number|under which number is this {doc} filed"
    "|which number identifies this {doc}|what {doc} number is printed|what is the no of the {doc}",
    "receipt.phone": "what number can i call|how can i call them|which phone number is printed|what is their phone number|what number do i dial"
    "|under what number can they be reached|how do i reach the store by phone|what is the tel number|which number should i ring",
    "receipt.address": "where is the store|where is this shop located|in which street is it|what street is the shop on|what is their address|where are they located"
    "|which address is printed|at what address is this|where can i find this shop",
    "receipt.city": "in which city is the store|which city is it in|in what town is this|what city is the shop in|what city is printed|which town is this shop in"
    "|what place is it|in what city was this bought|which city|where is it, which city|which city is named in the address",
    "receipt.cashier": "who was the cashier|who served the customer|who was at the till|which employee served|who rang this up|what is the cashier called"
    "|who took the payment|who served|by whom was it sold",
    "receipt.customer": "who is the customer|who is billed|to whom is it billed|who has to pay this|who is this made out to|for whom is the invoice|who bought this"
    "|who is the invoice for|which customer is named",
    "receipt.table": "which table was it|at which table did they sit|what table number is printed|which table|what table is it|which table is the bill for"
    "|what table was served|at what table|for what table|which table number|where did they sit, which table|what number is the table",
    "form.value": "what is written for {field}|what is filled in for {field}|what does the form say for {field}|what was entered under {field}"
    "|what stands next to {field}|what has been written in the {field} field|what's in the box {field}|what does {field} say|{field}: what is written there",
    "form.ticked": "is {box} ticked|is {box} checked|is the box {box} ticked|has {box} been selected|is {box} marked|is {box} selected|was {box} ticked"
    "|is the {box} box checked|is there a mark next to {box}|has the box for {box} been checked|did they tick {box}|is the checkbox {box} on"
    "|is {box} crossed|does the form have {box} ticked|can you see a tick at {box}|yes or no: is {box} ticked|did they choose {box}|is {box} filled in",
    "form.ticked_list": "which box is ticked|which option is checked|what is ticked|which option was chosen|which box has a mark|what did they tick"
    "|which one is selected|which checkbox is on|what has been selected|which choice is marked",
    "form.group": "what is selected for {group}|what is ticked for {group}|which {group} is ticked|which {group} is checked|which option was chosen for {group}"
    "|what did they choose for {group}|which box is marked under {group}|which {group} did they select",
    "form.title": "what is this form called|what kind of form is this|what does the heading say|what does the title say|how is the form titled"
    "|which form is this|what form is it|what is written at the top|what is this document called",
    "form.field_of": "which field says {value}|which field contains {value}|where is {value} written, in which field|what is {value}|{value} is the value of which field"
    "|in which field does it say {value}|which label belongs to {value}|what field has {value}|under which label is {value}|what does {value} stand for",
    "table.cell": "what does the table say for {row} under {col}|what {col} does {row} have|which {col} does {row} have|for {row}, what is the {col}"
    "|what is listed under {col} for {row}|in the row {row}, what is the {col}|look at {row}: what is its {col}|what's {row}'s {col}",
    "table.at": "what is in row {i} under {col}|what stands in the {nth} row of {col}|what does row {i} show under {col}|which {col} is in row {i}"
    "|what is the {col} of row number {i}|row {i}, column {col}|in the {nth} row, what is the {col}|what {col} does the {nth} row have"
    "|what is written in the {nth} row under {col}|look at row {i}: what is the {col}",
    "table.highest": "which {key} has the highest {col}|which {key} has the largest {col}|which {key} has the most {col}|who or what has the highest {col}"
    "|which row has the highest {col}|which one has the greatest {col}|where is {col} the highest|which {key} leads in {col}|{col} is highest for which {key}",
    "table.lowest": "which {key} has the lowest {col}|which {key} has the smallest {col}|which {key} has the least {col}|who or what has the lowest {col}"
    "|which row has the lowest {col}|which one has the smallest {col}|where is {col} the lowest|which {key} comes last in {col}|{col} is lowest for which {key}",
    "table.max": "how high is the highest {col}|what is the largest number under {col}|what is the maximum of {col}|what is the top value of {col}"
    "|how large is the largest {col}|what is the greatest {col} in the table|which is the highest number in the {col} column|what does {col} reach at most"
    "|what is the peak of {col}|what value of {col} is the largest",
    "table.min": "how low is the lowest {col}|what is the smallest number under {col}|what is the minimum of {col}|what is the lowest value of {col}"
    "|how small is the smallest {col}|what is the least {col} in the table|which is the lowest number in the {col} column|what value of {col} is the smallest"
    "|what is the bottom value of {col}|what is the lowest number under {col}",
    "table.num_rows": "how many rows are there|how many rows does the table have|how many entries are in the table|how many rows without the header"
    "|how many records are listed|count the rows|how many lines of values are there|how many data rows are there|how many rows below the header"
    "|how many {key} entries are there",
    "table.num_columns": "how many columns are there|how many columns does the table have|count the columns|how many columns do you see|how many columns are shown"
    "|how many headers are there|what is the number of columns in this table|how wide is the table in columns|how many column headings are there"
    "|into how many columns is it split|how many fields does each row have|how many columns",
    "table.headers": "what are the column headers|which columns does the table have|what are the columns called|list the column names|name the columns"
    "|list the headers|what are the headings|what does the header row say|which headings are there|what columns are there",
    "table.lookup": "which {key} has {value} as {col}|which {key} has a {col} of {value}|which row has {value} in the column {col}|whose {col} is {value}"
    "|{value} is the {col} of which {key}|for which {key} is the {col} {value}|which one has {col} {value}|where is the {col} {value}|who has {value} under {col}",
    "table.title": "what is the table about|what is the table called|what does the title say|how is the table titled|what is written above the table"
    "|what is the heading of the table|which title does it have|what is the table's title|what does the heading say|what is this table called",
    "table.first": "which {key} is listed first|what {key} comes first|what is the first {key} listed|which {key} is in the first row|what {key} is at the top"
    "|with which {key} does the table start|which {key} is in row 1|which {key} opens the list|what is in the first row under {key}|which one is the first {key}"
    "|what is the top {key}",
    "table.last": "which {key} is listed last|what {key} comes last|what is the last {key} listed|which {key} is in the last row|what {key} is at the bottom"
    "|with which {key} does the table end|which {key} is in the bottom row|which {key} closes the list|what is in the last row under {key}"
    "|which one is the last {key}|what is the bottom {key}",
    **CHART_WHOLES,
}

READ_WORDINGS: tuple[str, ...] = tuple(
    """read all the text in the image|read the text|what does it say|transcribe the image|transcribe everything|read everything
    write out all the text|what is written here|ocr|read this document line by line|extract all text|type out the text in the picture
    give me the full text|what text is in the image|copy all the words you see|read it to me|convert the image to text
    list all text you can see|please transcribe this receipt|recognise all the text""".replace("\n", "|").split("|")
)
READ_WORDINGS = tuple(wording.strip() for wording in READ_WORDINGS)

_PLACES = (" in the image", " in this image", " in the picture", " here", " on this page", " shown", " as shown", " in this document")
_PLACES_BY_TASK = {
    "receipt": (" on the receipt", " on this receipt", " on the bill", " on the slip"),
    "form": (" on the form", " on this form", " in this form", " on the sheet"),
    "table": (" in the table", " in this table", " according to the table", " based on the table"),
    "chart": (" in the chart", " in this chart", " according to the chart", " in the graph", " in this plot", " in the figure"),
}
_POLITE_BEFORE = ("please, ", "hi, ", "hey, ", "quick question: ", "question: ", "hello! ", "based on the image, ", "from the image: ")
_POLITE_AFTER = (", please", " please", " thanks", ", thank you")
_HINTS = (
    "Answer with a single word or phrase.",
    "Answer the question using a single word or phrase.",
    "Answer briefly.",
    "Give only the answer.",
    "Short answer.",
    "Just the answer, please.",
)
_QUESTION_STARTS = tuple(
    """what what's which who whose whom where when how is are was were does do did has have can could on at in by for to under with
    until from paid""".split()
)
_HAS_PLACE = re.compile(r"image|picture|receipt|form|table|chart|graph|list|here|page|document|bill|printed|shown|row|plot|column$")


def kinds() -> tuple[str, ...]:
    """All question kinds, sorted."""
    return tuple(sorted({*NOUNS, *WHOLES}))


def wordings(kind: str) -> tuple[str, ...]:
    """Every distinct wording of a kind before slots and manner: wholes, then nouns in each carrier."""
    wholes = WHOLES[kind].split("|") if kind in WHOLES else []
    nouns = NOUNS[kind].split("|") if kind in NOUNS else []
    return tuple(dict.fromkeys(wholes + [carrier.format(noun) for noun in nouns for carrier in CARRIERS]))


def _template(rng: np.random.Generator, kind: str) -> str:
    """One template of the kind; a whole question in half of the cases where there are both."""
    whole, noun = WHOLES.get(kind), NOUNS.get(kind)
    if whole is not None and (noun is None or rng.random() < 0.5):
        return _pick(rng, whole.split("|"))
    if noun is None:
        raise KeyError(f"question kind {kind!r} has no wording")
    return _pick(rng, CARRIERS).replace("{}", _pick(rng, noun.split("|")))


def _pick(rng: np.random.Generator, options: "tuple[str, ...] | list[str]") -> str:
    return options[int(rng.integers(len(options)))]


def _manner(rng: np.random.Generator, text: str) -> str:
    """Case, question mark, politeness and answer hint as people write them."""
    is_question = text.split(" ", 1)[0].split("'")[0] in _QUESTION_STARTS
    draw = rng.random(5)
    if draw[0] < 0.06:
        text = _pick(rng, _POLITE_BEFORE) + text
    elif draw[0] < 0.10:
        text += _pick(rng, _POLITE_AFTER)
    if draw[1] < 0.72:
        text = text[0].upper() + text[1:]
    elif draw[1] < 0.75:
        text = text.upper()
    elif draw[1] < 0.80:
        text = text.lower()
    if is_question:
        text += "?" if draw[2] < 0.75 else ""
    else:
        text += "." if draw[2] < 0.35 else ("?" if draw[2] < 0.45 else "")
    if draw[3] < 0.12:
        text += (" " if text[-1] in ".?" else ". ") + _pick(rng, _HINTS)
    elif draw[3] < 0.16:
        text += "\n" + _pick(rng, _HINTS)
    return text.replace("'s", "s") if draw[4] < 0.03 else text


def ask(rng: np.random.Generator, kind: str, **slots: object) -> str:
    """A question of `kind` ("task.what") with its slots filled.

    Args:
        rng: source of all choices.
        kind: a key of NOUNS or WHOLES.
        slots: words for {row}, {col}, {item} ...; a missing one is a KeyError.
    """
    template = _template(rng, kind)
    if not _HAS_PLACE.search(template) and rng.random() < 0.3:
        task = kind.split(".", 1)[0]
        template += _pick(rng, _PLACES_BY_TASK[task] if rng.random() < 0.6 else _PLACES)
    quote = _pick(rng, ("", "", "", "", "'", '"'))
    # {key} and {doc} are read as part of the sentence, never quoted; numbers are not either
    filled = {
        name: f"{quote}{value}{quote}" if isinstance(value, str) and name not in ("key", "doc", "mark", "nth") else str(value)
        for name, value in slots.items()
    }
    return _manner(rng, template.format(**filled))


def ask_to_read(rng: np.random.Generator) -> str:
    """A wording of "read all the text"."""
    return _manner(rng, _pick(rng, READ_WORDINGS))
