"""Wordings of questions about receipts and invoices; `vl2.synth.wordings` says how they are put together.

Slots: {item} a line of the list, {price} as drawn, {doc} receipt, invoice, bill, order, ticket or transaction.
"""

# kind -> noun phrases, to be put into a carrier sentence
RECEIPT_NOUNS: dict[str, str] = {
    "receipt.store": (
        "the store name|the name of the store|the name of the shop|the merchant|the business name|the vendor"
        "|the company that issued this|the name at the top|the seller's name|the name of the company"
        "|the merchant name"
    ),
    "receipt.date": (
        "the date|the date of purchase|the purchase date|the date on the receipt|the transaction date"
        "|the day of the sale|the printed date|the date of this document|the issue date"
    ),
    "receipt.due": (
        "the due date|the payment due date|the date by which to pay|the payment deadline|the last day to pay"
    ),
    "receipt.time": (
        "the time|the time of purchase|the time on the receipt|the hour of the sale|the transaction time"
        "|the printed time|the time of day"
    ),
    "receipt.total": (
        "the total|the total amount|the grand total|the amount due|the final amount|the total price|the total cost"
        "|the total on this receipt|the overall total|the full amount|the sum to pay|the total payable"
        "|the bill total"
    ),
    "receipt.subtotal": (
        "the subtotal|the sub-total|the amount before tax|the subtotal amount|the price before tax|the net amount"
        "|the sum without tax"
    ),
    "receipt.tax": (
        "the tax|the tax amount|the amount of tax|the tax charged|the sales tax|the tax on this purchase"
        "|the tax paid|the vat"
    ),
    "receipt.discount": "the discount|the discount amount|the amount taken off|the reduction|the money off|the savings",
    "receipt.tip": "the tip|the tip amount|the gratuity|the amount of the tip|the service charge",
    "receipt.change": "the change|the change given|the amount of change|the change due|the money given back",
    "receipt.paid": (
        "the amount tendered|the cash received|the amount handed over|the money given by the customer|the cash amount"
    ),
    "receipt.item_price": (
        "the price of {item}|the cost of {item}|the amount for {item}|the price for {item}|the price next to {item}"
        "|the line total of {item}|the charge for {item}"
    ),
    "receipt.unit_price": (
        "the unit price of {item}|the price per unit of {item}|the price of a single {item}|the rate of {item}"
        "|the price each for {item}"
    ),
    "receipt.item_quantity": (
        "the quantity of {item}|the number of {item}|the qty for {item}|the amount of {item} bought"
        "|the count of {item}|the quantity for {item}|the ordered quantity of {item}"
    ),
    "receipt.num_items": (
        "the number of items|the number of different items|the count of line items|the number of products listed"
        "|the number of lines in the item list"
    ),
    "receipt.dearest": (
        "the most expensive item|the priciest item|the item with the highest price|the costliest product"
        "|the item that cost the most|the dearest thing on the list"
    ),
    "receipt.cheapest": (
        "the cheapest item|the least expensive item|the item with the lowest price|the lowest priced product"
        "|the item that cost the least"
    ),
    "receipt.item_for_price": (
        "the item that costs {price}|the product with a price of {price}|the item priced at {price}"
        "|the thing that cost {price}|the item next to {price}|the name of the item for {price}"
    ),
    "receipt.first_item": (
        "the first item|the item at the top of the list|the first product listed|the name of the first item"
        "|the first thing on the list|the first line item"
    ),
    "receipt.last_item": (
        "the last item|the item at the bottom of the list|the last product listed|the name of the last item"
        "|the final item on the list|the last line item"
    ),
    "receipt.payment": (
        "the payment method|the way it was paid|the method of payment|the payment type|the form of payment"
        "|the means of payment"
    ),
    "receipt.number": (
        "the {doc} number|the number of this {doc}|the {doc} no|the {doc} id|the reference number|the {doc} code"
        "|the document number|the {doc} #"
    ),
    "receipt.phone": (
        "the phone number|the telephone number|the contact number|the number to call|the store's phone number"
        "|the phone|the telephone"
    ),
    "receipt.address": (
        "the address|the street address|the store's address|the location of the store|the street and number"
        "|the address of the shop"
    ),
    "receipt.city": (
        "the city|the city of the store|the city and postal code|the town on the second line of the address"
    ),
    "receipt.cashier": (
        "the cashier|the name of the cashier|the cashier's name|the person at the till|the clerk|the server's name"
        "|the name of the employee"
    ),
    "receipt.customer": (
        "the customer|the customer name|the name of the customer|the client|the buyer|the person billed"
        "|the name under bill to|the recipient"
    ),
    "receipt.table": "the table number|the table|the number of the table|the table no",
}

# kind -> whole questions of its own
RECEIPT_WHOLES: dict[str, str] = {
    "receipt.store": (
        "where was this bought|which store is this from|who issued this receipt|what shop is this|where did i shop"
        "|which company is this receipt from|who is the seller|which shop printed this"
    ),
    "receipt.date": (
        "when was this bought|on which day was this purchase made|when was this issued|what day is on it"
        "|on what date was it paid|when did the purchase happen|which date is shown"
    ),
    "receipt.due": (
        "when is payment due|by when must this be paid|when do i have to pay|until when can it be paid"
        "|pay by what date|when does the payment have to arrive|how long is there to pay, until which date"
        "|what is the latest date to pay|which date is the deadline|by what day should it be settled"
    ),
    "receipt.time": (
        "at what time was this bought|what time is printed|when exactly was it, what time"
        "|at what hour was the purchase|what time was it|at which time was it paid|what time does it show"
        "|what o'clock was it"
    ),
    "receipt.total": (
        "how much did i pay|how much is it in total|how much was paid in all|what do i owe"
        "|how much does everything cost|what did it all come to|how much money was spent|what was the final price"
        "|how much is the bill|what does it add up to"
    ),
    "receipt.subtotal": (
        "how much is it before tax|what is the sum before tax|how much was it without tax"
        "|what did the items come to before tax|how much before taxes are added|what was it before the tax"
        "|how much is the sub total|what does the subtotal line say"
    ),
    "receipt.tax": (
        "how much tax was paid|how much tax is there|how much tax did they charge|what was charged as tax"
        "|how much is the vat|how much goes to tax|how much of it is tax|what does the tax line say"
    ),
    "receipt.discount": (
        "how much was taken off|how much was the discount|how much did i save|what was deducted"
        "|how big is the discount|how much did the price go down|what reduction was given|how much was saved"
        "|how much money off was there"
    ),
    "receipt.tip": (
        "how much was the tip|how much tip was given|what tip did they leave|how much gratuity was added"
        "|what was tipped|how much went to the waiter|how much did they tip|how much service was charged"
        "|what was left as a tip|how large is the tip"
    ),
    "receipt.change": (
        "how much change was given|how much came back|what change did the customer get|how much money was returned"
        "|how much change is due|how much did i get back|what did the cashier give back|how much was handed back"
        "|how much change did i get|what was returned"
    ),
    "receipt.paid": (
        "how much cash was given|how much did the customer hand over|how much was tendered"
        "|with how much cash was it paid|how much money was received|how much did the customer give"
        "|what did the customer pay with in cash|how much cash was paid|how much was received|what amount was given"
    ),
    "receipt.item_price": (
        "how much is {item}|how much does {item} cost|how much was {item}|what does {item} cost"
        "|how much did i pay for {item}|{item} costs how much|how much did {item} come to"
        "|what was charged for {item}|how expensive is {item}"
    ),
    "receipt.unit_price": (
        "how much is one {item}|what does a single {item} cost|how much is {item} each|how much per {item}"
        "|what is one {item} worth|what does each {item} cost|how much for one {item}|how much does one {item} cost"
        "|{item}: price each|what is {item} per piece"
    ),
    "receipt.item_quantity": (
        "how many {item} were bought|how many {item} are there|how many {item} did i buy"
        "|how many of {item} were sold|how many {item}|how many units of {item}|how many pieces of {item}"
        "|how many times was {item} bought"
    ),
    "receipt.num_items": (
        "how many items are listed|how many different products were bought|how many items are on the receipt"
        "|how many things were bought|how many lines are in the item list|how many items are there"
        "|how many products are listed|how many different things are on it|how many articles are there"
        "|count the items on the list|how many item lines do you see"
    ),
    "receipt.dearest": (
        "which item is the most expensive|what cost the most|which product is the priciest"
        "|what was the most expensive thing|which item has the highest price|on what was most of the money spent"
        "|which one is the dearest|which line has the biggest amount|what is the costliest"
    ),
    "receipt.cheapest": (
        "which item is the cheapest|what cost the least|which product has the lowest price"
        "|what was the cheapest thing|which item is least expensive|which line has the smallest amount"
        "|which of these is the cheapest|which is the lowest priced|what is the cheapest|which one costs least"
    ),
    "receipt.item_for_price": (
        "which item costs {price}|what costs {price}|what was bought for {price}|which product has the price {price}"
        "|{price} is the price of what|which thing costs {price}|what did they pay {price} for"
        "|which line shows {price}|what item is {price}|for what was {price} paid"
    ),
    "receipt.first_item": (
        "what is listed first|which item comes first|what is on the first line of the list"
        "|which product is at the top|what was scanned first|what starts the list|which item is first"
        "|what is the top item|what comes first on the list|which one is listed first"
    ),
    "receipt.last_item": (
        "what is listed last|which item comes last|what is on the last line of the list"
        "|which product is at the bottom|what was scanned last|what ends the list|which item is last"
        "|what is the bottom item|what comes last on the list|which one is listed last"
    ),
    "receipt.payment": (
        "how was it paid|how did the customer pay|was it paid by cash or card|what was used to pay"
        "|how was this paid for|with what was it paid|which card or cash was used|paid with what"
        "|what payment was used|how was the bill settled"
    ),
    "receipt.number": (
        "what number does this {doc} have|which {doc} number is it|what is this {doc}'s number"
        "|under which number is this {doc} filed|which number identifies this {doc}|what {doc} number is printed"
        "|what is the no of the {doc}"
    ),
    "receipt.phone": (
        "what number can i call|how can i call them|which phone number is printed|what is their phone number"
        "|what number do i dial|under what number can they be reached|how do i reach the store by phone"
        "|what is the tel number|which number should i ring"
    ),
    "receipt.address": (
        "where is the store|where is this shop located|in which street is it|what street is the shop on"
        "|what is their address|where are they located|which address is printed|at what address is this"
        "|where can i find this shop"
    ),
    "receipt.city": (
        "in which city is the store|which city is it in|in what town is this|what city is the shop in"
        "|what city is printed|which town is this shop in|what place is it|in what city was this bought|which city"
        "|where is it, which city|which city is named in the address"
    ),
    "receipt.cashier": (
        "who was the cashier|who served the customer|who was at the till|which employee served|who rang this up"
        "|what is the cashier called|who took the payment|who served|by whom was it sold"
    ),
    "receipt.customer": (
        "who is the customer|who is billed|to whom is it billed|who has to pay this|who is this made out to"
        "|for whom is the invoice|who bought this|who is the invoice for|which customer is named"
    ),
    "receipt.table": (
        "which table was it|at which table did they sit|what table number is printed|which table|what table is it"
        "|which table is the bill for|what table was served|at what table|for what table|which table number"
        "|where did they sit, which table|what number is the table"
    ),
}
