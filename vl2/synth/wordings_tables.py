"""Wordings of questions about tables and forms; `vl2.synth.wordings` says how they are put together.

Slots: {row} a row header, {col} a column header, {key} the header of the first column, {value} a cell, {i} and {nth} a
row counted from one; {field} a label of a form, {box} the words beside a checkbox, {group} the label of a choice.
"""

# kind -> noun phrases, to be put into a carrier sentence
TABLE_NOUNS: dict[str, str] = {
    "form.value": (
        "the {field}|{field}|the value of {field}|the value of the field {field}|the entry for {field}"
        "|the {field} on this form|the content of the {field} field|the text next to {field}"
        "|the answer given for {field}|the {field} entry|the value for {field}"
    ),
    "form.ticked_list": (
        "the ticked option|the checked box|the selected option|the option that is marked|the box that is ticked"
        "|the marked choice"
    ),
    "form.group": (
        "the {group} that is ticked|the selected {group}|the checked option under {group}|the choice for {group}"
        "|the option marked for {group}|the {group}|the ticked box in the {group} row"
    ),
    "form.title": (
        "the title|the title of the form|the heading|the name of this form|the title at the top|the form's title"
        "|the headline of the document"
    ),
    "form.field_of": (
        "the field that contains {value}|the label of {value}|the name of the field with {value}"
        "|the field that says {value}|the label next to {value}|the field filled in with {value}"
    ),
    "table.cell": (
        "the {col} of {row}|the {col} for {row}|the value of {col} for {row}|the value in row {row}, column {col}"
        "|{row}'s {col}|the {col} in the row {row}|the entry under {col} for {row}"
        "|the cell at row {row} and column {col}|the {col} value of {row}|the number under {col} in the {row} row"
        "|the {col} listed for {row}"
    ),
    "table.at": (
        "the value in row {i} of the column {col}|the {col} in row {i}|the {col} of the {nth} row"
        "|the {nth} entry under {col}|the {nth} value in the {col} column"
    ),
    "table.highest": (
        "the {key} with the highest {col}|the {key} with the largest {col}|the {key} with the most {col}"
        "|the row with the highest {col}|the {key} that has the greatest {col}|the one with the maximum {col}"
        "|the {key} with the biggest {col}"
    ),
    "table.lowest": (
        "the {key} with the lowest {col}|the {key} with the smallest {col}|the {key} with the least {col}"
        "|the row with the lowest {col}|the {key} that has the minimum {col}|the one with the smallest {col}"
    ),
    "table.max": (
        "the highest {col}|the largest {col}|the maximum {col}|the biggest value in {col}"
        "|the highest value in the {col} column|the top {col}"
    ),
    "table.min": (
        "the lowest {col}|the smallest {col}|the minimum {col}|the smallest value in {col}"
        "|the lowest value in the {col} column|the least {col}"
    ),
    "table.num_rows": (
        "the number of rows|the number of data rows|the row count|the number of entries|the number of records"
        "|the number of rows without the header"
    ),
    "table.num_columns": (
        "the number of columns|the column count|the amount of columns|the number of headers|the total number of columns"
    ),
    "table.headers": (
        "the column headers|the names of the columns|the column names|the headings of the columns"
        "|the list of column headers|the header row|the titles of the columns"
    ),
    "table.lookup": (
        "the {key} whose {col} is {value}|the {key} with {col} {value}|the {key} with a {col} of {value}"
        "|the row that has {value} under {col}|the {key} for which {col} equals {value}"
        "|the {key} where {col} is {value}|the one with {value} in the {col} column"
    ),
    "table.title": (
        "the title|the table title|the title of the table|the heading above the table|the caption of the table"
        "|the name of the table"
    ),
    "table.first": "the first {key}|the {key} in the first row|the first entry under {key}|the top {key} in the table",
    "table.last": "the last {key}|the {key} in the last row|the last entry under {key}|the bottom {key} in the table",
}

# kind -> whole questions of its own
TABLE_WHOLES: dict[str, str] = {
    "form.value": (
        "what is written for {field}|what is filled in for {field}|what does the form say for {field}"
        "|what was entered under {field}|what stands next to {field}|what has been written in the {field} field"
        "|what's in the box {field}|what does {field} say|{field}: what is written there"
    ),
    "form.ticked": (
        "is {box} ticked|is {box} checked|is the box {box} ticked|has {box} been selected|is {box} marked"
        "|is {box} selected|was {box} ticked|is the {box} box checked|is there a mark next to {box}"
        "|has the box for {box} been checked|did they tick {box}|is the checkbox {box} on|is {box} crossed"
        "|does the form have {box} ticked|can you see a tick at {box}|yes or no: is {box} ticked"
        "|did they choose {box}|is {box} filled in"
    ),
    "form.ticked_list": (
        "which box is ticked|which option is checked|what is ticked|which option was chosen|which box has a mark"
        "|what did they tick|which one is selected|which checkbox is on|what has been selected"
        "|which choice is marked"
    ),
    "form.ticked_all": (
        "which boxes are ticked|which options are checked|what is ticked|which options were chosen"
        "|which boxes have a mark|what did they tick|which ones are selected|which checkboxes are on"
        "|what has been selected|list the ticked boxes|name all checked options|which choices are marked"
        "|list everything that is ticked|what was checked|which boxes did they tick|give me all boxes with a tick"
    ),
    "form.group": (
        "what is selected for {group}|what is ticked for {group}|which {group} is ticked|which {group} is checked"
        "|which option was chosen for {group}|what did they choose for {group}|which box is marked under {group}"
        "|which {group} did they select"
    ),
    "form.title": (
        "what is this form called|what kind of form is this|what does the heading say|what does the title say"
        "|how is the form titled|which form is this|what form is it|what is written at the top"
        "|what is this document called"
    ),
    "form.field_of": (
        "which field says {value}|which field contains {value}|where is {value} written, in which field"
        "|what is {value}|{value} is the value of which field|in which field does it say {value}"
        "|which label belongs to {value}|what field has {value}|under which label is {value}"
        "|what does {value} stand for"
    ),
    "table.cell": (
        "what does the table say for {row} under {col}|what {col} does {row} have|which {col} does {row} have"
        "|for {row}, what is the {col}|what is listed under {col} for {row}|in the row {row}, what is the {col}"
        "|look at {row}: what is its {col}|what's {row}'s {col}"
    ),
    "table.at": (
        "what is in row {i} under {col}|what stands in the {nth} row of {col}|what does row {i} show under {col}"
        "|which {col} is in row {i}|what is the {col} of row number {i}|row {i}, column {col}"
        "|in the {nth} row, what is the {col}|what {col} does the {nth} row have"
        "|what is written in the {nth} row under {col}|look at row {i}: what is the {col}"
    ),
    "table.highest": (
        "which {key} has the highest {col}|which {key} has the largest {col}|which {key} has the most {col}"
        "|who or what has the highest {col}|which row has the highest {col}|which one has the greatest {col}"
        "|where is {col} the highest|which {key} leads in {col}|{col} is highest for which {key}"
    ),
    "table.lowest": (
        "which {key} has the lowest {col}|which {key} has the smallest {col}|which {key} has the least {col}"
        "|who or what has the lowest {col}|which row has the lowest {col}|which one has the smallest {col}"
        "|where is {col} the lowest|which {key} comes last in {col}|{col} is lowest for which {key}"
    ),
    "table.max": (
        "how high is the highest {col}|what is the largest number under {col}|what is the maximum of {col}"
        "|what is the top value of {col}|how large is the largest {col}|what is the greatest {col} in the table"
        "|which is the highest number in the {col} column|what does {col} reach at most|what is the peak of {col}"
        "|what value of {col} is the largest"
    ),
    "table.min": (
        "how low is the lowest {col}|what is the smallest number under {col}|what is the minimum of {col}"
        "|what is the lowest value of {col}|how small is the smallest {col}|what is the least {col} in the table"
        "|which is the lowest number in the {col} column|what value of {col} is the smallest"
        "|what is the bottom value of {col}|what is the lowest number under {col}"
    ),
    "table.num_rows": (
        "how many rows are there|how many rows does the table have|how many entries are in the table"
        "|how many rows without the header|how many records are listed|count the rows"
        "|how many lines of values are there|how many data rows are there|how many rows below the header"
        "|how many {key} entries are there"
    ),
    "table.num_columns": (
        "how many columns are there|how many columns does the table have|count the columns"
        "|how many columns do you see|how many columns are shown|how many headers are there"
        "|what is the number of columns in this table|how wide is the table in columns"
        "|how many column headings are there|into how many columns is it split|how many fields does each row have"
        "|how many columns"
    ),
    "table.headers": (
        "what are the column headers|which columns does the table have|what are the columns called"
        "|list the column names|name the columns|list the headers|what are the headings|what does the header row say"
        "|which headings are there|what columns are there"
    ),
    "table.lookup": (
        "which {key} has {value} as {col}|which {key} has a {col} of {value}"
        "|which row has {value} in the column {col}|whose {col} is {value}|{value} is the {col} of which {key}"
        "|for which {key} is the {col} {value}|which one has {col} {value}|where is the {col} {value}"
        "|who has {value} under {col}"
    ),
    "table.title": (
        "what is the table about|what is the table called|what does the title say|how is the table titled"
        "|what is written above the table|what is the heading of the table|which title does it have"
        "|what is the table's title|what does the heading say|what is this table called"
    ),
    "table.first": (
        "which {key} is listed first|what {key} comes first|what is the first {key} listed"
        "|which {key} is in the first row|what {key} is at the top|with which {key} does the table start"
        "|which {key} is in row 1|which {key} opens the list|what is in the first row under {key}"
        "|which one is the first {key}|what is the top {key}"
    ),
    "table.last": (
        "which {key} is listed last|what {key} comes last|what is the last {key} listed"
        "|which {key} is in the last row|what {key} is at the bottom|with which {key} does the table end"
        "|which {key} is in the bottom row|which {key} closes the list|what is in the last row under {key}"
        "|which one is the last {key}|what is the bottom {key}"
    ),
}
