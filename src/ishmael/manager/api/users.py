"""Users, tokens, and the first sign-in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from ishmael.manager.accounts import AccountsBook
from ishmael.words.errors import RequestRefused

Name = Annotated[str, InPath(max_length=64)]
_Text = Annotated[str, Field(max_length=512)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewUser(_Body):
    """A user to be added."""

    name: _Text
    role: _Text = "viewer"
    password: _Text


class NewPassword(_Body):
    """Another password."""

    password: _Text


class NewRole(_Body):
    """Another role."""

    role: _Text


class FirstUser(_Body):
    """The first admin."""

    code: _Text
    name: _Text
    password: _Text


class EndedSession(_Body):
    """A session that its user ended."""

    name: _Text
    nonce: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    until_s: Annotated[int, Field(ge=0, le=2**53)]


class NewToken(_Body):
    """A token to be made."""

    name: _Text
    role: _Text = "viewer"


def add_to(app: FastAPI, prefix: str, book: AccountsBook) -> None:
    """Add the routes."""

    @app.get(f"{prefix}/users", tags=["users"])
    def users() -> dict[str, Any]:
        """Users and tokens, without their secrets."""
        return book.shown()

    @app.post(f"{prefix}/users", tags=["users"], status_code=201)
    def add(wish: NewUser) -> dict[str, Any]:
        """Add a user."""
        book.add_user(wish.name.strip(), wish.role, wish.password)
        return {"name": wish.name.strip(), "role": wish.role}

    @app.post(f"{prefix}/users/first", tags=["users"], status_code=201)
    def first(wish: FirstUser) -> dict[str, Any]:
        """Make the first admin, with the one-time code of this node's console."""
        book.add_first(wish.code, wish.name.strip(), wish.password)
        return {"name": wish.name.strip(), "role": "admin"}

    @app.get(f"{prefix}/users/code", tags=["users"])
    def code(request: Request) -> dict[str, Any]:
        """The one-time code, for root alone; null once there are users."""
        caller = getattr(request.state, "caller", None)
        if caller is not None and caller.name != "root":
            raise RequestRefused("not-root", "Only root may read the code.", "On the node: ishmael user code")
        return {"schema": 1, "code": book.first_code()}

    @app.post(f"{prefix}/users/{{name}}/password", tags=["users"])
    def password(name: Name, wish: NewPassword) -> dict[str, Any]:
        """Give a user another password; the user's sessions end."""
        book.set_password(name, wish.password)
        return {"name": name}

    @app.post(f"{prefix}/users/{{name}}/role", tags=["users"])
    def role(name: Name, wish: NewRole) -> dict[str, Any]:
        """Give a user another role; never the last admin."""
        book.set_role(name, wish.role)
        return {"name": name, "role": wish.role}

    @app.post(f"{prefix}/users/{{name}}/sign-out", tags=["users"])
    def sign_out(name: Name) -> dict[str, Any]:
        """End all sessions of a user."""
        book.sign_out_everywhere(name)
        return {"name": name}

    @app.post(f"{prefix}/sign-outs", tags=["users"], status_code=202)
    def end_session(wish: EndedSession) -> dict[str, Any]:
        """The web process tells that somebody signed out: that session ends on both nodes."""
        book.end_session(wish.name, wish.nonce, wish.until_s)
        return {"name": wish.name}

    @app.delete(f"{prefix}/users/{{name}}", tags=["users"])
    def remove(name: Name) -> dict[str, Any]:
        """Remove a user; never the last admin."""
        book.remove_user(name)
        return {"name": name}

    _add_tokens(app, prefix, book)


def _add_tokens(app: FastAPI, prefix: str, book: AccountsBook) -> None:
    @app.post(f"{prefix}/tokens", tags=["users"], status_code=201)
    def add_token(wish: NewToken) -> dict[str, Any]:
        """Make a token for a program; its secret is told once."""
        return book.add_token(wish.name, wish.role)

    @app.delete(f"{prefix}/tokens/{{number}}", tags=["users"])
    def remove_token(number: Name) -> dict[str, Any]:
        """Remove a token."""
        book.remove_token(number)
        return {"id": number}
