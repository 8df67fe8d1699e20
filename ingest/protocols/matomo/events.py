"""What one request of a Matomo tracker says happened, by the parameters it has (docs/protocols/matomo.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ingest.protocols.payload import Payload, chosen, load_json
from ingest.reading.fields import Unacceptable

ORDER = {"ec_st": "subtotal", "ec_tx": "tax", "ec_sh": "shipping", "ec_dt": "discount"}
ORDER_ITEM = ("sku", "product", "category", "price", "quantity")
ACTION = {"e_c": "category", "e_n": "label"}
SEARCH = {"search": "keyword", "search_cat": "category", "search_count": "count"}
CONTENT = {"c_n": "content", "c_p": "piece", "c_t": "target", "c_i": "interaction"}
PRODUCT = {"_pkn": "product", "_pks": "sku", "_pkc": "product_category", "_pkp": "price"}
ROBOT = {"recMode": "rec_mode", "http_status": "http_status", "bw_bytes": "bytes", "source": "robot_source"}
PERFORMANCE = ("pf_net", "pf_srv", "pf_tfr", "pf_dm1", "pf_dm2", "pf_onl")
DIMENSION = re.compile(r"dimension\d{1,4}")


def read_payload(params: Mapping[str, str]) -> Payload:
    """The event. params: texts; empty ones are left out already."""
    payload = _action(params)
    payload.properties |= {name: value for name, value in params.items() if DIMENSION.fullmatch(name)}
    payload.properties |= {name: params[name] for name in PERFORMANCE if name in params}
    payload.properties |= _variables(params)
    return payload


def _action(params: Mapping[str, str]) -> Payload:
    get = params.get
    if get("ping") == "1":
        return Payload("ping")
    if "ec_id" in params:
        return Payload("purchase", get("ec_id"), get("revenue"), properties=_order(params))
    if get("idgoal") == "0":
        return Payload("cart_update", value=get("revenue"), properties=_order(params))
    if "idgoal" in params:
        return Payload("goal", value=get("revenue"), properties={"goal": params["idgoal"]})
    if "e_a" in params or "e_c" in params:
        return Payload(get("e_a") or get("e_c"), value=get("e_v"), properties=chosen(params, ACTION))
    if "search" in params:
        return Payload("site_search", properties=chosen(params, SEARCH))
    for name, our_name in (("download", "download"), ("link", "outlink")):
        if name in params:
            return Payload(our_name, properties={"link": params[name]})
    if "c_n" in params:
        name = "content_interaction" if "c_i" in params else "content_impression"
        return Payload(name, properties=chosen(params, CONTENT))
    return Payload("page_view", properties=chosen(params, PRODUCT) | chosen(params, ROBOT))


def _order(params: Mapping[str, str]) -> dict[str, Any]:
    order = chosen(params, ORDER)
    items = _json(params.get("ec_items"))
    if isinstance(items, list) and items:
        order["items"] = [
            dict(zip(ORDER_ITEM, item, strict=False)) if isinstance(item, list) else item for item in items
        ]
    return order


def _variables(params: Mapping[str, str]) -> dict[str, Any]:
    """Custom variables, `{"1": ["name", "value"]}`, as properties `cvar.<name>`, of the visit and of the page."""
    found = {}
    for name in ("_cvar", "cvar"):
        slots = _json(params.get(name))
        for pair in slots.values() if isinstance(slots, dict) else ():
            if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
                found[f"cvar.{pair[0]}"] = pair[1]
    return found


def _json(text: str | None) -> Any:
    """A parameter that holds JSON; None where it does not: an order without its items is still an order."""
    try:
        return load_json(text, "parameter") if text else None
    except Unacceptable:
        return None
