"""Asks the installed duplicity which paths its lists choose.

stdin:  a JSON array of {"root": hex, "list": hex}: a folder that exists, and the bytes of a filter list.
stdout: a JSON array, one answer per case: {"chosen": [hex path, …], "aside": [line number, …]},
        or {"refused": text} where duplicity cannot read a line.

duplicity ends at the first line that cannot match the root; here such a line is put aside and named.
"""

import io
import json
import os
import re
import sys
import warnings

from duplicity import log
from duplicity.globmatch import FilePrefixError, GlobbingError
from duplicity.path import Path
from duplicity.selection import Select

warnings.simplefilter("ignore")


def answer(case):
    select = Select(Path(bytes.fromhex(case["root"])))
    text = bytes.fromhex(case["list"]).decode("utf-8", "surrogateescape")
    aside = []
    for number, typed in enumerate(io.StringIO(text, newline=None).read().split("\n"), 1):
        line, include = select.filelist_sanitise_line(typed, 1)
        if not line:
            continue
        try:
            select.add_selection_func(select.general_get_sf(line, include))
        except FilePrefixError:
            aside.append(number)
        except (GlobbingError, re.error, IndexError) as refusal:
            return {"refused": ascii(refusal)}
    return {"chosen": [path.name.hex() for path in select.set_iter()], "aside": aside}


log.setup()
log.setverbosity(log.ERROR)
json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
