"""The deliberate differences: a row of docs/doors/mlflow.md each, with the probes that show it.

A line of what differs is known if the probe's name and the line match both patterns, as regular expressions and as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """`row`: the first cell of the page's row; `lines`: as `asking.differences` says them, theirs first."""

    row: str
    probes: str
    lines: Sequence[str]


def refused(theirs: str = "200", ours: str = "400") -> Sequence[str]:
    """A status and the body that goes with it."""
    return (f"status: {theirs} -> {ours}", r"body.*", r"headers.*", r"attachment.*")


CLOCK = r".*end_time: \S+ -> '<now>'"

EXTENDED = (
    r"search (runs|experiments|models|versions|logged models): .*( OR | BETWEEN |==| IN \().*"
    r"|search runs: (NOT .*|\(.*|metrics.acc IS NULL|params.lr > .*| +)"
    r"|search experiments: creation_time > 1\.5.*"
    r"|search experiments: attributes.name = .*"
    r"|order (runs: \['`Run Name` ASC'\]|experiments: \['tags.team'\])"
)

DIFFERENCES: Sequence[Difference] = (
    Difference("a page token is an offset", "a token of another filter", refused()),
    Difference("restoring a run of a deleted experiment: it is active in it", "restore run of a deleted experiment", refused()),
    Difference("routes of `/api/2.0` are not under `/api/3.0`", "under /api/3.0", refused("404", "200")),
    Difference(
        "OR, NOT, parentheses, BETWEEN, `==`, IN and IS NULL on most fields, ranges of params and tags, fractions of times, "
        "orders by tags of experiments, `attributes.` everywhere: refused",
        EXTENDED,
        refused("400", "200"),
    ),
    Difference(
        "a filter with a word too many or too few is read as far as it goes",
        r"search runs: (metrics.acc = 0.5 AND|AND metrics.acc = 1|metrics.acc = 0.5 metrics.loss = 1)",
        refused(),
    ),
    Difference("a backslash in a pattern is a character", r"search runs: params.kind LIKE 'a\\%b'", (r"body\.runs.*",)),
    Difference("a doubled quote in a value matches nothing", "search runs: tags.team = 'Bob''s'", (r"body\.runs.*",)),
    Difference(
        "a field named twice in `order_by`: 500 for runs, allowed for experiments",
        r"order (runs: \['metrics.acc', 'metrics.acc'\]|experiments: \['name', 'name'\])",
        (*refused("500"), *refused()),
    ),
    Difference(
        "a malformed list in a batch: 500", "batch: (null lists|a word in a list)", (*refused("500"), *refused("500", "200"))
    ),
    Difference("a body that is no object: 500", "body of string", refused("500")),
    Difference("renaming a deleted experiment: 500", "rename a deleted one", refused("500")),
    Difference(
        "renaming to a taken name: `BAD_REQUEST` with the database's text",
        "rename to a taken name",
        (r"body.error_code: 'BAD_REQUEST' -> 'RESOURCE_ALREADY_EXISTS'",),
    ),
    Difference(
        "a run without `experiment_id`: the database's text",
        "(run without experiment|body of nothing)",
        (r"body.error_code: 'BAD_REQUEST' -> 'INVALID_PARAMETER_VALUE'",),
    ),
    Difference("a run without `start_time` starts in 1970", "run without start", (r"body.run.info.start_time: 0 -> '<now>'",)),
    Difference("a run may start or end before 1970", "run (before|ended before) 1970", refused()),
    Difference("an end at 0 is none", "update: end at 0", (r"body.run_info.end_time: '<absent>' -> 0",)),
    Difference(
        "ending a run without `end_time` leaves none", "update: (reopen|schedule|no end)", (r"body.run_info.end_time: .*",)
    ),
    Difference(
        "`user_id` and the tag `mlflow.user` are two",
        ".*",
        (r"body.run.info.user_id: 'ada' -> 'bob'", r"body\.run\.data\.tags: .*mlflow.user.*"),
    ),
    Difference("tag `mlflow.runName` can be deleted", "delete name tag", refused()),
    Difference("names of a query are in snake case only", "get experiment by camel case", refused("400", "200")),
    Difference("another verb: a page of HTML", "another verb", (r"body.*", r"attachment.*", r"headers.*")),
    Difference("a time with a fraction is cut", "log metric: a broken time", refused()),
    Difference(
        "a number over 64 bits, the text `nan`, or another form within a list or a query, is none, nor is what comes after it",
        "(log metric: (a step over 64 bits|nan as text)|batch: a param that is a number|history: a page of x)",
        refused(),
    ),
    Difference("a dataset without name or digest, or none at all, is an input", "log inputs: without .*", refused()),
    Difference(
        "a tag twice for what is new: the database's text", "(experiment|logged model) with a tag twice", refused("400", "200")
    ),
    Difference("a search of runs leaves out which models they read", "search what reads models", (r"body\.runs.*inputs.*",)),
    Difference("a dataset is the experiment's", "run with the same elsewhere", (r"body\.run\.inputs\..*",)),
    Difference("a sample of a history has the steps of MLflow's choice", "sample of .*", (r"body\.metrics.*",)),
    Difference("a location with `..` is kept", "experiment with location with parent", refused()),
    Difference(
        "an empty file has no size in a list",
        "(list .*|files.py, tree)",
        (r"body\.files\[\d+\]\.file_size: '<absent>' -> 0", r"fact\[1\]\[2\]: None -> 0"),
    ),
    Difference("a name with a NUL is a file's", r"(get|put|list) a%00b", (*refused(), "status: 404 -> 400")),
    Difference("reading a folder as a file is refused in a form of its own", "get folder", (r"body\..*",)),
    Difference(
        "links to files of a run are for runs outside of the proxy", "presigned (upload|download) of a run", refused("400", "501")
    ),
    Difference(
        "renaming a model moves the time of all its versions", "rename moves the time of versions", ("fact: True -> False",)
    ),
    Difference("archiving existing versions for stage None or Archived: 500", "move 1 to (None|Archived), True", refused("500")),
    Difference("a source by http, https, ftp or of another host is refused", "version of a web address", refused("400", "200")),
    Difference("an alias `v3` names nothing", "get v2", refused("400", "200")),
    Difference("a page of no models, or less, is empty", "models, at most (0|-1)", refused()),
    Difference(
        "a run may name a logged model that is not there as input or output", "outputs of nobody's model", refused("200", "404")
    ),
    Difference(
        "a logged model that is not there is measured: the database's text",
        "metric of nobody's logged model",
        refused("400", "404"),
    ),
    Difference(
        "a deleted logged model is changed and measured", "(finalize|tag|measure) a deleted logged model", refused("200", "404")
    ),
    Difference("a logged model has a status that is none", "finalize as nothing", refused()),
    Difference(
        "a key or value in double quotes in a filter of logged models matches nothing",
        'search logged models: name = "l one"',
        (r"body\.models: '<absent>' -> .*",),
    ),
    Difference("a key in a filter of logged models needs no backquotes", "search logged models: params.a/b = '1'", refused()),
    Difference(
        "a filter of logged models by a status that is none finds none",
        "search logged models: status = 'x'",
        refused(),
    ),
    Difference(
        "a run names a logged model as its output a second time: the database's text", "outputs again", refused("400", "200")
    ),
    Difference(
        "the same param of a logged model again: the database's text",
        "log the same params of a logged model",
        refused("400", "200"),
    ),
    Difference(
        "a NaN of a logged model is kept as 0",
        "logged model that is NaN",
        (r"body\.model\.data\.metrics\[0\]\.value: 0.0 -> 'NaN'",),
    ),
    Difference(
        "`status = 'READY'` of logged models finds nothing",
        "search logged models: status = '(LOGGED_MODEL_)?READY'",
        (r"body\.models: '<absent>' -> .*",),
    ),
    Difference("an unknown field in a filter of logged models: 500", "search logged models: colour = 'red'", refused("500")),
)
