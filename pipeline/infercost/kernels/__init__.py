"""Operator measurements of current stacks: tables, fits, examinations. Development only."""
