"""The rules of WHATWG HTML 9.2.5 and 9.2.6, in pieces of every size."""

import unittest

import hostile  # noqa: F401  (finds the client)
from callscoot_client import CallScootClientError, SseParser, iter_sse_events


def data_of(text):
    return [event.data for event in iter_sse_events(text)]


class Rules(unittest.TestCase):
    def test_lines_end_in_lf_cr_or_crlf(self):
        for end in ("\n", "\r", "\r\n"):
            text = end.join(["data: one", "data: two", "", "data: three", "", ""])
            self.assertEqual(data_of(text), ["one\ntwo", "three"], repr(end))
        self.assertEqual(data_of("data: a\r\ndata: b\rdata: c\n\r\n"), ["a\nb\nc"])

    def test_other_separators_of_unicode_do_not_end_a_line(self):
        self.assertEqual(data_of("data: a\u2028b\x0bc\x85d\n\n"), ["a\u2028b\x0bc\x85d"])

    def test_one_byte_order_mark_is_dropped_at_the_start_only(self):
        self.assertEqual(data_of("\ufeffdata: a\n\n\ufeffdata: b\n\n".encode()), ["a"])
        self.assertEqual(data_of("\ufeff\ufeffdata: a\n\n".encode()), [])

    def test_one_space_after_the_colon_is_dropped_and_a_field_without_colon_is_empty(self):
        self.assertEqual(data_of("data:x\n\ndata:  x\n\ndata\ndata\n\n"), ["x", " x", "\n"])

    def test_an_event_without_data_is_none_and_loses_its_type(self):
        self.assertEqual(list(iter_sse_events("event: a\n\ndata: x\n\n"))[0].event, "message")
        self.assertEqual(data_of("data\n\n"), [""])

    def test_comments_and_unknown_fields_mean_nothing(self):
        self.assertEqual(data_of(": c\nfoo: bar\ndata: x\n:\nData: y\n data: z\n\n"), ["x"])

    def test_the_type_holds_for_one_event_and_the_id_until_another(self):
        first, second, third = iter_sse_events("event: e\nid: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n")
        self.assertEqual((first.event, first.id), ("e", "7"))
        self.assertEqual((second.event, second.id), ("message", "7"))
        self.assertEqual(third.id, "")

    def test_an_id_with_nul_is_ignored(self):
        self.assertEqual([e.id for e in iter_sse_events("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n")], ["1", "1"])

    def test_retry_is_ascii_digits_only(self):
        for value, expected in (("2500", 2500), ("2.5", None), ("-1", None), ("٣", None), ("", None), ("9" * 4000, None)):
            parser = SseParser()
            parser.feed(f"retry: {value}\n".encode())
            self.assertEqual(parser.retry_ms, expected, value)

    def test_what_the_end_cuts_off_is_dropped_and_its_id_is_not_where_to_resume(self):
        parser = SseParser()
        self.assertEqual(len(parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")), 1)
        self.assertEqual(parser.last_event_id, "1")
        parser.feed(b"\n")
        self.assertEqual(parser.last_event_id, "2")

    def test_an_id_without_data_moves_the_place_to_resume(self):
        parser = SseParser()
        self.assertEqual(parser.feed(b"id: 9\n\n"), [])
        self.assertEqual(parser.last_event_id, "9")

    def test_bytes_that_are_no_utf8_become_replacement_characters(self):
        self.assertEqual(data_of(b"data: a\xffb\n\n"), ["a\ufffdb"])

    def test_any_cut_gives_the_same_events(self):
        text = "\ufeffid: 1\r\ndata: grüße 🙂\r\ndata: two\r\n\r\n: c\rdata: x\r\revent: y\ndata: é\n\n".encode()
        whole = list(iter_sse_events(text))
        self.assertEqual([e.data for e in whole], ["grüße 🙂\ntwo", "x", "é"])
        for first in range(len(text) + 1):
            for second in range(first, len(text) + 1, 3):
                pieces = [text[:first], text[first:second], text[second:]]
                self.assertEqual(list(iter_sse_events(pieces)), whole, (first, second))

    def test_a_line_that_ends_in_cr_is_not_held_back(self):
        self.assertEqual(len(SseParser().feed(b"data: x\r\r")), 1)

    def test_pieces_may_be_text(self):
        self.assertEqual(data_of(["data: gr", "üße\n", "\n"]), ["grüße"])

    def test_an_event_without_end_is_not_collected_for_ever(self):
        for piece in (b"x" * 65536, b"data: " + b"x" * 65536 + b"\n"):
            parser = SseParser()
            with self.assertRaises(CallScootClientError):
                for _ in range(1000):
                    parser.feed(piece)
        for piece in (b": " + b"x" * 65536 + b"\n\n", b"data: " + b"x" * 65536 + b"\n\n", b"id: 1\n\n"):
            parser = SseParser()
            for _ in range(1000):
                parser.feed(piece)


if __name__ == "__main__":
    unittest.main()
