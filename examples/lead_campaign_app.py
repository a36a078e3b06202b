#!/usr/bin/env python3
"""Calls the leads of a CSV file one after another and writes what came of it into the same file.

    lead_campaign_app.py leads.csv --dry-run      # shows who would be called
    lead_campaign_app.py leads.csv                # calls; the same command again goes on where it stopped

One column holds the number (`number`, or --number-column). All other columns of yours reach the agent as dynamic
variables of the same name, with `campaign_name` beside them. The results are columns `call_…` at the end:

    call_status   empty: to be called · calling: being called · called: the result is there · refused: see call_error
    call_key      this attempt's Idempotency-Key: written before the call is asked for, so that after a crash of this
                  program, of the service, or of both, nobody is called twice and no result is missing
    call_attempt, call_session_id, call_end_reason, call_started_at, call_ended_at, call_summary, call_error

To call a lead once more, empty its call_status. The file is replaced as a whole each time (never half written); while
a campaign runs, do not save it from another program: the campaign notices, keeps its own copy beside it, and stops.

Ctrl-C lets the current call end, writes its result and stops; a second one leaves at once, and the call goes on (the
next start collects its result). Exit code: 0 all done, 1 stopped because something is wrong, 2 the file or the command
line cannot be used, 75 gave up waiting (start it again later), 130 interrupted.
"""

import argparse
import csv
import fcntl
import io
import os
import pathlib
import random
import select
import signal
import sys
import time
import uuid
from typing import Any, Dict, List, Optional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "src"))

from callscoot_client import CallScootClient, CallScootClientError  # noqa: E402

RESULT_COLUMNS = (
    "call_status",
    "call_attempt",
    "call_key",
    "call_session_id",
    "call_end_reason",
    "call_started_at",
    "call_ended_at",
    "call_summary",
    "call_error",
)
# Refusals with no call in the way, after which a lead is given up.
REFUSALS_MAX = 3
BACKOFF_MAX_SEC = 30.0
# Sessions that are looked through for a call whose answer was lost.
CALLS_LIMIT = 1000


class Stop(Exception):
    """The campaign cannot go on; the file says how far it came."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Leads:
    """A CSV file that is read once and replaced as a whole; locked against a second campaign."""

    def __init__(self, path: str, number_column: str) -> None:
        self.path = os.path.realpath(path)
        self._file = open(self.path, "rb")
        try:
            self._read(path, number_column)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets other campaigns have the file."""
        self._file.close()

    def _read(self, path: str, number_column: str) -> None:
        self._lock(self._file)
        # Replaced by a campaign that has just ended, between opening and locking?
        if not os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path)):
            raise Stop(f"{path}: another campaign is at work on it", 2)
        content = self._file.read()
        self._seen = self._state()
        self._bom = content.startswith(b"\xef\xbb\xbf")
        text = content.decode("utf-8-sig")
        first = text.splitlines()[0] if text else ""
        self._delimiter = max(",;\t|", key=first.count)
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        self._ends_with_line_end = text.endswith("\n")
        # Summaries may be long.
        csv.field_size_limit(1 << 24)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True)
        self.header: List[str] = next(reader, [])
        self._quoting = csv.QUOTE_ALL if first.count('"') >= 2 * len(self.header) > 0 else csv.QUOTE_MINIMAL
        self.rows: List[List[str]] = []
        for row in reader:
            if len(row) > len(self.header):
                raise Stop(f"{path}: line {reader.line_num} has more fields than the first line", 2)
            self.rows.append(row)
        names = [name.strip() for name in self.header]
        if len(set(names)) < len(names):
            raise Stop(f"{path}: two columns have the same name", 2)
        if number_column not in names:
            raise Stop(f"{path}: there is no column {number_column}; --number-column says which it is", 2)
        self.header += [name for name in RESULT_COLUMNS if name not in names]
        self._index = {name.strip(): at for at, name in enumerate(self.header)}
        for row in self.rows:
            if row:
                row += [""] * (len(self.header) - len(row))

    def get(self, row: List[str], column: str) -> str:
        return row[self._index[column]].strip() if column in self._index else ""

    def set(self, row: List[str], **values: Optional[str]) -> None:
        for column, value in values.items():
            text = " ".join("".join(c if c.isprintable() else " " for c in value or "").split())
            # A spreadsheet would take words of a stranger that begin like this for a formula.
            row[self._index[column]] = "'" + text if text[:1] in ("=", "+", "-", "@") else text

    def own_columns(self) -> List[str]:
        return [name for name in self._index if name not in RESULT_COLUMNS]

    def save(self) -> None:
        """Puts the rows into the file's place; at every moment the file is the old or the new one, whole."""
        beside = os.path.join(os.path.dirname(self.path), f".{os.path.basename(self.path)}.tmp")
        if self._state() != self._seen:
            kept = self.path + ".campaign"
            self._write(kept, os.stat(self.path)).close()
            raise Stop(f"{self.path} was changed by another program; what this campaign knows is in {kept}", 1)
        file = self._write(beside, os.stat(self.path))
        try:
            os.replace(beside, self.path)
        except BaseException:
            file.close()
            raise
        self._file.close()
        self._file = file
        self._seen = self._state()
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write(self, path: str, like: os.stat_result) -> Any:
        text = io.StringIO(newline="")
        writer = csv.writer(
            text, delimiter=self._delimiter, lineterminator=self._line_end, quoting=self._quoting
        )
        writer.writerows([self.header, *self.rows])
        content = text.getvalue()
        if not self._ends_with_line_end:
            content = content[: -len(self._line_end)]
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        file = os.fdopen(os.open(path, flags, 0o600), "wb")
        try:
            self._lock(file)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fchmod(file.fileno(), like.st_mode & 0o7777)
            file.write((b"\xef\xbb\xbf" if self._bom else b"") + content.encode())
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            raise
        return file

    def _lock(self, file: Any) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Stop(f"{self.path}: another campaign is at work on it", 2) from error

    def _state(self) -> Any:
        stat = os.stat(self.path)
        return stat.st_ino, stat.st_size, stat.st_mtime_ns


class Campaign:
    def __init__(self, client: CallScootClient, leads: Leads, options: argparse.Namespace) -> None:
        self.client = client
        self.leads = leads
        self.options = options
        self.stopping = False
        self._stop_pipe, self._stop_told = os.pipe()

    def stop(self, *_: object) -> None:
        """What a signal does: the first lets the current call end, the second does not."""
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        os.write(self._stop_told, b".")
        say("stopping after this call; once more to leave at once")

    def to_do(self) -> List[int]:
        open_rows = [
            at
            for at, row in enumerate(self.leads.rows)
            if row and self.leads.get(row, "call_status") in ("", "calling")
        ]
        # What a crash left behind comes first: its call may still be going on.
        open_rows.sort(key=lambda at: self.leads.get(self.leads.rows[at], "call_status") != "calling")
        return open_rows[: self.options.limit]

    def run(self) -> None:
        rows = self.to_do()
        for count, at in enumerate(rows, 1):
            if self.stopping:
                raise Stop("stopped", 130)
            row = self.leads.rows[at]
            say(f"[{count}/{len(rows)}] {self.name(at)} ", end="")
            self.call(at, row)
            reason = self.leads.get(row, "call_end_reason") or self.leads.get(row, "call_error")
            say(f"{self.leads.get(row, 'call_status')}: {reason}")
            if count < len(rows):
                self.pause(self.options.pause_sec)

    def call(self, at: int, row: List[str]) -> None:
        leads = self.leads
        resumed = leads.get(row, "call_status") == "calling"
        if not resumed:
            attempt = leads.get(row, "call_attempt")
            leads.set(row, **dict.fromkeys(RESULT_COLUMNS, ""))
            leads.set(
                row,
                call_status="calling",
                call_attempt=str(int(attempt) + 1 if attempt.isdecimal() else 1),
                call_key=str(uuid.uuid4()),
            )
            leads.save()
        session_id = leads.get(row, "call_session_id")
        if not session_id:
            try:
                session_id = self.dial(at, row, resumed)
            except CallScootClientError as error:
                leads.set(row, call_status="refused", call_error=error.message)
                leads.save()
                return
            leads.set(row, call_session_id=session_id)
            leads.save()
        try:
            meta = self.end_of(session_id)
        except CallScootClientError as error:
            if error.status != 404:
                raise
            leads.set(row, call_status="called", call_error="the service does not know the session any more")
        else:
            leads.set(
                row,
                call_status="called",
                call_end_reason=meta.get("end_reason"),
                call_started_at=meta.get("started_at"),
                call_ended_at=meta.get("ended_at"),
                call_summary=meta.get("summary"),
            )
        leads.save()

    def dial(self, at: int, row: List[str], unsure: bool) -> str:
        """The session of the call; an error when the service will not call this lead. `unsure`: it may have been
        called already."""
        key = self.leads.get(row, "call_key")
        give_up = time.monotonic() + self.options.give_up_sec
        tries = refusals = 0
        while True:
            try:
                session_id = self.session_with(key) if unsure else None
                if session_id:
                    return session_id
                reply = self.client.queue_outbound_call(
                    self.leads.get(row, self.options.number_column),
                    dynamic_variables=self.variables(row),
                    metadata={"campaign": self.options.campaign, "lead": self.name(at), "call_key": key},
                    idempotency_key=key,
                )
                return str(reply.get("session_id") or self.client.wait_for_session_start())
            except CallScootClientError as error:
                failure = error
            if failure.status in (400, 413):
                raise failure
            if failure.status in (401, 403, 404, 421):
                raise Stop(f"the service refuses this program: {failure}", 1)
            # Whether the service had begun to call is not known where its answer is missing.
            unsure = unsure or failure.status not in (409, 429)
            # With a time to wait, the first try is still running there: that is no answer yet.
            is_answer = failure.status == 409 and failure.retry_after_sec is None
            if is_answer and not self.line_was_busy():
                refusals += 1
                if refusals >= REFUSALS_MAX:
                    raise failure
            wait_sec = min(BACKOFF_MAX_SEC, 0.5 * 2**tries) * random.uniform(0.5, 1.0)
            wait_sec = max(wait_sec, failure.retry_after_sec or 0.0)
            tries = min(tries + 1, 10)
            if time.monotonic() + wait_sec > give_up:
                raise Stop(f"gave up: {failure}", 75)
            say(f"(waiting {wait_sec:.0f} s: {failure}) ", end="")
            self.pause(wait_sec)
            if self.stopping:
                raise Stop("stopped", 130)

    def session_with(self, key: str) -> Optional[str]:
        """The session that was begun with this key, if one was."""
        for meta in self.client.list_calls(CALLS_LIMIT)["calls"]:
            request = meta.get("client_request") or {}
            if (request.get("metadata") or {}).get("call_key") == key:
                return str(meta["id"])
        return None

    def line_was_busy(self) -> bool:
        """Whether there is another call; if so, it has ended now, or the longest time for a call is over."""
        try:
            current = self.client.current_call()
            if current is None:
                return False
            self.client.wait_for_session_end(current["id"], timeout_sec=self.options.call_timeout_sec)
        except (CallScootClientError, TimeoutError):
            pass
        return True

    def end_of(self, session_id: str) -> Dict[str, Any]:
        """The session's meta when it is over; a call that takes too long is hung up."""
        limit_sec = self.options.call_timeout_sec
        try:
            session = self.client.wait_for_session_end(session_id, timeout_sec=limit_sec)
        except TimeoutError:
            try:
                self.client.hangup_current_call(session_id=session_id)
                session = self.client.wait_for_session_end(session_id, timeout_sec=60)
            except (CallScootClientError, TimeoutError) as error:
                raise Stop(f"the call does not end after {limit_sec:g} s: {error}", 75) from error
        meta: Dict[str, Any] = session["meta"]
        return meta

    def variables(self, row: List[str]) -> Dict[str, str]:
        own = [name for name in self.leads.own_columns() if name and name != self.options.number_column]
        return {**{name: self.leads.get(row, name) for name in own}, "campaign_name": self.options.campaign}

    def name(self, at: int) -> str:
        return self.leads.get(self.leads.rows[at], "lead_id") or f"row {at + 2}"

    def pause(self, seconds: float) -> None:
        """Ends early when told to stop."""
        select.select([self._stop_pipe], [], [], max(0.0, seconds))


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


def options_of(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("leads", help="the CSV file (UTF-8)")
    parser.add_argument("--campaign", help="its name, for the agent and the records (default: the file's)")
    parser.add_argument("--number-column", default="number", help="default: %(default)s")
    parser.add_argument("--limit", type=int, help="call so many leads at most, then end")
    parser.add_argument("--pause-sec", type=float, default=2.0, help="between two calls; default: %(default)s")
    parser.add_argument(
        "--call-timeout-sec", type=float, default=900.0, help="then hang up; default: %(default)s"
    )
    parser.add_argument(
        "--give-up-sec", type=float, default=7200.0, help="wait so long for a line or budget; default: %(default)s"
    )
    parser.add_argument("--dry-run", action="store_true", help="show who would be called; call nobody, write nothing")
    options = parser.parse_args(arguments)
    options.campaign = options.campaign or pathlib.Path(options.leads).stem
    return options


def main(arguments: Optional[List[str]] = None) -> int:
    options = options_of(arguments)
    try:
        campaign = Campaign(CallScootClient.from_env(), Leads(options.leads, options.number_column), options)
    except Stop as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except (OSError, ValueError, csv.Error) as error:
        print(f"{options.leads}: {error}", file=sys.stderr)
        return 2
    if options.dry_run:
        for at in campaign.to_do():
            row = campaign.leads.rows[at]
            say(f"{campaign.name(at)}: {campaign.leads.get(row, options.number_column)} {campaign.variables(row)}")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, campaign.stop)
    try:
        campaign.run()
    except Stop as stop:
        say("")
        print(stop, file=sys.stderr)
        return stop.exit_code
    except (CallScootClientError, OSError) as error:
        say("")
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
