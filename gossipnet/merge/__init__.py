"""Merge rules: how a node combines its own model with those that arrived."""

from gossipnet.merge import average as _average  # noqa: F401 (registers its rule, as the imports below do theirs)
from gossipnet.merge.group import Group, MergeRule, make_merge, merge_rule, merge_rules
from gossipnet.merge.sign import sign_agreement
from gossipnet.merge.variance import variance_ratio, variance_ratios

__all__ = [
    "Group",
    "MergeRule",
    "make_merge",
    "merge_rule",
    "merge_rules",
    "sign_agreement",
    "variance_ratio",
    "variance_ratios",
]
