"""What DynamoDB would charge for the calls made, in request units of a table on demand, by what is stored and not by what is sent.

Rules (DynamoDB guide, "Read and write operations", "Global secondary indexes", "Amazon DynamoDB transactions"): a write is charged by the
larger of the item before and after it, for each KB; a deletion and the check of a condition by the item that is there; a write whose condition
does not hold all the same; a transaction twice. An item that has an index's keys is written there too: once when it comes, goes, or changes,
twice when its place in the index changes. A consistent read is a unit for each 4 KB of what it looks at, another one half of that. Whether a
transaction's write is doubled in the index as well the guide does not say: here it is. Less than it charges: a query that only counts is
one unit, however much it counts.
"""

import base64
import json
import math

WRITES = ("PutItem", "UpdateItem", "DeleteItem")


def size(value):
    """How long a value is ("DynamoDB item sizes and formats")."""
    (kind, content), = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return (len(str(content).lstrip("-").strip("0.")) + 1) // 2 + 1
    if kind == "B":
        return len(base64.b64decode(content))
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size(part) for name, part in content.items())
    if kind == "L":
        return 3 + sum(1 + size(part) for part in content)
    if kind in ("SS", "NS", "BS"):
        return sum(size({kind[0]: part}) for part in content)
    return 1


def item_size(item):
    return sum(len(name.encode()) + size(value) for name, value in item.items())


def units(length, of):
    return max(1, math.ceil(length / of))


def table(name):
    from moto.dynamodb.models import dynamodb_backends

    for account in list(dynamodb_backends.values()):
        for backend in list(account.values()):
            if name in backend.tables:
                return backend.tables[name]
    return None


def stored(name, key):
    """The item with this key as it is now, with its names and values as they are sent; empty: it is not there."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    found = table(name)
    if not found:
        return {}
    keys = [DynamoType(key[part]) for part in (found.hash_key_attr, found.range_key_attr) if part]
    item = found.get_item(*keys)
    # A copy: moto changes the item in its place.
    return json.loads(json.dumps(item.to_json()["Attributes"])) if item else {}


def written(action, call):
    """What a call writes or checks: the kind, the table and the item's key."""
    def one(kind, part):
        found = table(part["TableName"])
        content = part.get("Item") or part.get("Key") or {}
        names = [found.hash_key_attr, found.range_key_attr] if found else []
        return kind, part["TableName"], {name: content[name] for name in names if name in content}

    if action in WRITES:
        return [one(action.removesuffix("Item"), call)]
    if action == "TransactWriteItems":
        return [one(kind, part) for item in call.get("TransactItems", []) for kind, part in item.items()]
    if action == "BatchWriteItem":
        found = []
        for name, requests in call.get("RequestItems", {}).items():
            for request in requests:
                (kind, part), = request.items()
                found.append(one(kind.removesuffix("Request"), {**part, "TableName": name}))
        return found
    return []


def before(action, call):
    """The items that a call writes, as they are before it."""
    return [(kind, name, key, stored(name, key)) for kind, name, key in written(action, call)]


def index_units(name, old, new):
    found = table(name)
    total = 0
    for index in (found.global_indexes if found else []):
        keys = [part["AttributeName"] for part in index.schema]
        places = [tuple(json.dumps(item[key]) for key in keys) if all(key in item for key in keys) else None for item in (old, new)]
        if old == new or places == [None, None]:
            continue
        if None in places or places[0] == places[1]:
            total += units(max(item_size(item) for item, place in zip((old, new), places) if place), 1024)
        else:
            total += units(item_size(old), 1024) + units(item_size(new), 1024)
    return total


def place(*keys):
    """A key's kind: what stands before its first number sign, of both of its parts; a sort key that begins with a number is a time."""
    parts = [text.split("#")[0] for text in keys]
    return "/".join("time" if part.isdigit() else part for part in parts)


def read_units(action, call, answer):
    content = json.loads(answer)
    items = content.get("Items") or ([content["Item"]] if content.get("Item") else [])
    consumed = units(sum(item_size(item) for item in items), 4096)
    is_consistent = call.get("ConsistentRead") in (True, "true")
    if call.get("IndexName"):
        where = f"index {call['IndexName']}"
    elif call.get("Key"):
        where = place(*(text["S"] for _, text in sorted(call["Key"].items())))
    else:
        # In the order of their names: the partition's comes before the prefix's.
        values = sorted(call.get("ExpressionAttributeValues", {}).items())
        where = place(*(value["S"] for _, value in values if "S" in value))
    return {f"read {action} {where}": consumed if is_consistent else consumed / 2}


def after(action, call, seen, answer):
    """The units of a call, by a line for each kind of thing: its action and the kind of its key."""
    status, _, content = answer
    if action in ("GetItem", "Query", "Scan"):
        return read_units(action, call, content) if status.startswith("200") else {}
    refused = b"ConditionalCheckFailed" in content
    if not status.startswith("200") and not refused:
        return {}
    twice, found = (2 if action == "TransactWriteItems" else 1), {}
    for kind, name, key, old in seen:
        new = stored(name, key)
        consumed = units(max(item_size(old), item_size(new)), 1024)
        line = f"write {'Transact' if twice == 2 else ''}{kind} {place(*(text['S'] for text in key.values()))}"
        found[line] = found.get(line, 0) + twice * consumed
        if in_index := index_units(name, old, new):
            found[f"{line}, in the index"] = found.get(f"{line}, in the index", 0) + twice * in_index
    return found
