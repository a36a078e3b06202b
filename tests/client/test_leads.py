"""The file of `examples/lead_campaign_app.py`: its columns, order, dialect and mode stay; it is never half."""

import csv
import importlib.util
import io
import os
import pathlib
import stat
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("campaign", ROOT / "examples/lead_campaign_app.py")
campaign = importlib.util.module_from_spec(spec)
spec.loader.exec_module(campaign)

NEW = ",".join(campaign.RESULT_COLUMNS)


class Leads(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "leads.csv")

    def write(self, content):
        with open(self.path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())

    def read(self):
        with open(self.path, "rb") as file:
            return file.read()

    def load(self, column="number"):
        leads = campaign.Leads(self.path, column)
        self.addCleanup(leads.close)
        return leads

    def save_as_it_is(self):
        leads = self.load()
        leads.save()
        leads.close()

    def refused(self, content, *errors):
        self.write(content)
        with self.assertRaises(errors or campaign.Stop):
            self.load()
        self.assertEqual(campaign.main([self.path, "--dry-run"]), 2)

    def test_a_file_that_is_saved_unchanged_is_the_same_to_the_byte(self):
        self.write((ROOT / "examples/leads.csv.example").read_bytes())
        self.save_as_it_is()
        with_columns = self.read()
        for content in (
            with_columns,
            with_columns.replace(b"\n", b"\r\n"),
            with_columns[:-1],
            b"\xef\xbb\xbf" + with_columns,
            f"number;name;{NEW.replace(',', ';')}\n+1;a,b;;;;;;;;;\n\n+2;c;;;;;;;;;\n".encode(),
            f"number,{NEW}\n+1,,,,,,,,,\n".replace(",", "\t").encode(),
            ('"number","' + NEW.replace(",", '","') + '"\r\n' + ",".join(['""'] * 10) + "\r\n").encode(),
        ):
            self.write(content)
            self.save_as_it_is()
            self.assertEqual(self.read(), content)

    def test_columns_are_added_at_the_end_and_short_rows_are_filled(self):
        self.write(' number ,name,note\n+1,"a, ""b""",x\n+2\n')
        leads = self.load()
        leads.set(leads.rows[1], call_status="called", call_summary="one\r\n two \0")
        leads.save()
        header, first, second = list(csv.reader(io.StringIO(self.read().decode(), newline="")))
        self.assertEqual(header, [" number ", "name", "note", *campaign.RESULT_COLUMNS])
        self.assertEqual(first, ["+1", 'a, "b"', "x"] + [""] * 9)
        self.assertEqual(second, ["+2", "", "", "called", "", "", "", "", "", "", "one two", ""])

    def test_words_of_a_stranger_are_no_formula(self):
        self.write("number\n+1\n")
        leads = self.load()
        for text in ("=1+1", "+1", "-1", "@x"):
            leads.set(leads.rows[0], call_summary=text)
            self.assertEqual(leads.get(leads.rows[0], "call_summary"), "'" + text)

    def test_mode_and_link_stay(self):
        self.write("number\n+1\n")
        os.chmod(self.path, 0o640)
        link = os.path.join(os.path.dirname(self.path), "link.csv")
        os.symlink("leads.csv", link)
        leads = campaign.Leads(link, "number")
        leads.save()
        leads.close()
        self.assertTrue(os.path.islink(link))
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640)
        self.assertEqual(sorted(os.listdir(os.path.dirname(link))), ["leads.csv", "link.csv"])

    def test_what_cannot_be_used_is_refused_with_a_sentence(self):
        self.refused("")
        self.refused("phone\n+1\n")
        self.refused("number,number\n+1,+2\n")
        self.refused("number,name\n+1,a,b\n")
        self.refused(b"number,name\n+1,caf\xe9\n", UnicodeDecodeError)
        self.refused('number\n"+1\n', csv.Error)
        self.write("phone\n+1\n")
        self.assertEqual(self.load("phone").own_columns(), ["phone"])
        self.assertEqual(campaign.main([self.path + ".none"]), 2)

    def test_two_campaigns_at_once_are_one_too_many(self):
        self.write("number\n+1\n")
        first = self.load()
        self.assertRaises(campaign.Stop, self.load)
        first.save()
        self.assertRaises(campaign.Stop, self.load)
        first.save()
        first.close()
        self.load()

    def test_a_change_by_another_program_is_not_overwritten(self):
        self.write("number\n+1\n")
        leads = self.load()
        leads.set(leads.rows[0], call_status="called")
        self.write("number\n+2\n")
        with self.assertRaises(campaign.Stop) as caught:
            leads.save()
        self.assertEqual(self.read(), b"number\n+2\n")
        with open(self.path + ".campaign") as kept:
            self.assertIn("+1,called", kept.read())
        self.assertIn(".campaign", str(caught.exception))

    def test_a_failed_write_leaves_the_old_file(self):
        self.write("number\n+1\n")
        leads = self.load()
        for step in ("fsync", "replace"):
            with mock.patch(f"os.{step}", side_effect=OSError("disk full")):
                self.assertRaises(OSError, leads.save)
            self.assertEqual(self.read(), b"number\n+1\n")
        leads.save()
        self.assertIn(b"call_status", self.read())


class Dialling(unittest.TestCase):
    def dial(self, *answers):
        """What `dial` comes to, and how often it waited, when the service with no call answers like that."""
        client = mock.create_autospec(campaign.CallScootClient, instance=True)
        client.queue_outbound_call.side_effect = answers
        client.list_calls.return_value = {"calls": []}
        client.current_call.return_value = None
        leads = mock.Mock(get=lambda row, column: "", own_columns=list, rows=[[]])
        dialling = campaign.Campaign(client, leads, campaign.options_of(["leads.csv"]))
        for end in (dialling._stop_pipe, dialling._stop_told):
            self.addCleanup(os.close, end)
        waits = []
        dialling.pause = waits.append
        with mock.patch("builtins.print"):
            try:
                return dialling.dial(0, [], False), waits
            except campaign.CallScootClientError as error:
                return error.status, waits

    def test_a_first_try_that_still_runs_is_waited_for_and_is_no_refusal(self):
        stalled = campaign.CallScootClientError(503, "storage", retry_after_sec=1.0)
        running = campaign.CallScootClientError(409, "still running", retry_after_sec=1.0)
        session, waits = self.dial(stalled, *[running] * 9, {"session_id": "s"})
        self.assertEqual((session, len(waits)), ("s", 10))
        self.assertGreaterEqual(min(waits), 1.0)

    def test_a_lead_is_given_up_when_refused_often_or_for_good(self):
        refused = campaign.CallScootClientError(409, "never dialled")
        status, waits = self.dial(*[refused] * campaign.REFUSALS_MAX)
        self.assertEqual((status, len(waits)), (409, campaign.REFUSALS_MAX - 1))
        for status in (400, 413):
            self.assertEqual(self.dial(campaign.CallScootClientError(status, "wrong")), (status, []))


if __name__ == "__main__":
    unittest.main()
