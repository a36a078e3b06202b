"""Reads Prometheus text from standard input with Prometheus' own parser, strictly; writes it as JSON."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

families = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.name not in families, f"{family.name} is there twice"
    assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
    samples = [[sample.name, sample.labels, sample.value] for sample in family.samples]
    families[family.name] = {"type": family.type, "help": family.documentation, "samples": samples}
json.dump(families, sys.stdout)
