"""What Schemathesis does and checks beyond its own when it fuzzes a service as one of two companies.

EASYCODE_FUZZ_OTHER names a JSON file about the other company: `ids` of its records, which are tried, and texts that are its
`secrets`, which nobody else is ever to be shown.
"""

import json
import os
import random
import re
import zlib

import schemathesis
from schemathesis.generation import GenerationMode
from schemathesis.generation.meta import TestPhase

with open(os.environ["EASYCODE_FUZZ_OTHER"], encoding="utf-8") as file:
    OTHER = json.load(file)
IDS = OTHER["ids"]
SECRETS = [secret.lower() for secret in OTHER["secrets"]]

# A part of the cases asks for what the other company has.
PART = 0.3

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
# Of what goes on inside nothing is told.
INNER = re.compile(
    r"panicked|backtrace|\.rs:\d|/src/|sqlx|postgres|pg_\w|sqlstate"
    r"|syntax error|violates|permission denied|for type \w|(relation|column|schema|constraint|operator) \""
    r"|\b(select|insert into|delete from|update \w+ set)\b|easycode-platform|\.svc\b",
    re.IGNORECASE,
)


def with_ids(value, choose):
    """The value with ids of the other company's in place of those that are in it."""
    if isinstance(value, dict):
        return {key: with_ids(one, choose) for key, one in value.items()}
    if isinstance(value, list):
        return [with_ids(one, choose) for one in value]
    if isinstance(value, str) and UUID.match(value):
        return choose.choice(IDS)
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    """Asks for records of the other company where any of that kind could be asked for."""
    # What is malformed on purpose stays so, and what goes on with a record that was just made goes on with that.
    if not IDS or case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if case.meta.phase.name == TestPhase.STATEFUL:
        return
    # By what is sent rather than by what was sent before, so that a case is the same when it is sent again.
    sent = json.dumps([case.path, case.path_parameters, case.query, case.body], default=str, sort_keys=True)
    choose = random.Random(zlib.crc32(sent.encode()))
    if choose.random() < PART:
        case.path_parameters = with_ids(case.path_parameters, choose)
        case.query = with_ids(case.query, choose)
        if isinstance(case.body, (dict, list)):
            case.body = with_ids(case.body, choose)


@schemathesis.check
def nothing_of_another_company(ctx, response, case):
    """No answer shows anything of the other company: neither its words nor ids that it was not asked by."""
    answer = response.text.lower() + json.dumps(dict(response.headers), default=str).lower()
    for secret in SECRETS:
        assert secret not in answer, f"the answer shows {secret}, which is another company's"


@schemathesis.check
def errors_are_problems(ctx, response, case):
    """An error is a problem document that says what to do, and nothing of what is inside."""
    if response.status_code < 400:
        return
    media_type = response.headers.get("content-type", [""])[0]
    assert media_type == "application/problem+json", f"an error is sent as {media_type or 'nothing'}"
    problem = response.json()
    assert problem["status"] == response.status_code, f"it is {response.status_code}, and says {problem['status']}"
    assert problem["type"] == f"urn:easycode:problem:{problem['code']}", problem["type"]
    assert problem["title"] and problem["detail"], "it doesn't say what is wrong"
    # What the caller sent may be told back.
    sent = json.dumps([case.path_parameters, case.query, case.body, dict(case.headers)], default=str, ensure_ascii=False)
    found = INNER.search(problem["detail"])
    assert found is None or found.group(0) in sent, f"it tells what is inside: {problem['detail']}"
