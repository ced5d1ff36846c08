"""Fields of classes as one table, each with its full text, in place of a heading for each field."""

from typing import Any

from griffe import (
    Attribute,
    Class,
    Docstring,
    DocstringAttribute,
    DocstringSectionAttributes,
    Extension,
)


class FieldsAsTable(Extension):
    """Adds the table to the docstring of a class; mkdocstrings then shows it."""

    def on_class(self, *, cls: Class, **_: Any) -> None:
        """Add the public fields and properties of a class to its docstring."""
        fields = [
            DocstringAttribute(
                name=name,
                annotation=member.annotation,
                description=member.docstring.value if member.docstring else "",
            )
            for name, member in cls.members.items()
            if isinstance(member, Attribute) and not name.startswith("_")
        ]
        if fields:
            if cls.docstring is None:
                cls.docstring = Docstring("", parent=cls)
            cls.docstring.parsed.append(DocstringSectionAttributes(fields))
