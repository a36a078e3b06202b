"""The phone of a scenario: a phone.py of its own process, told step by step what to do."""
import json
import os
import subprocess
import sys
import threading
import time


class Phone:
    """Events are kept; wait() looks for the next one after the last that was waited for."""

    def __init__(self, name, config):
        self.name, self.log, self.address = name, 'logs/%s.jsonl' % name, None
        config = dict({'script': '-', 'record': 'logs/%s_heard.wav' % name}, **config)
        path = '/tmp/%s.json' % name
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(config, file)
        with open('logs/%s.err' % name, 'a', encoding='utf-8') as errors:
            self.process = subprocess.Popen([sys.executable, os.environ['BENCH'] + '/phone.py', path], text=True, bufsize=1,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        self.seen, self.cursor, self.steps, self.news = [], 0, 0, threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.address = self.wait('ready')['address']

    def _read(self):
        with open(self.log, 'a', encoding='utf-8') as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                event = json.loads(line)
                with self.news:
                    self.seen.append(event)
                    self.news.notify_all()

    def begin(self, step):
        """Without waiting for its end; steps are done one after the other. Its number."""
        self.steps += 1
        self.process.stdin.write(json.dumps(dict(step, id=self.steps)) + '\n')
        return self.steps

    def attempt(self, step, timeout=30):
        """Until it is done: what went wrong, or None."""
        return self.end(self.begin(step), timeout)

    def end(self, number, timeout=30):
        """Of a step that was begun: what went wrong, or None."""
        end = time.monotonic() + timeout
        with self.news:
            while True:
                ended = [one for one in self.seen if one['event'] in ('done', 'failed') and one['id'] == number]
                if ended:
                    return ended[0].get('error')
                if not self.news.wait(end - time.monotonic()):
                    return 'not within %g s' % timeout

    def do(self, step, timeout=30):
        """Until it is done; an exception when it was not."""
        fault = self.attempt(step, timeout)
        if fault:
            raise RuntimeError('%s: %s: %s' % (self.name, json.dumps(step), fault))

    def events(self, event, **fields):
        with self.news:
            return [one for one in self.seen if one['event'] == event and
                    all(one.get(key) == value for key, value in fields.items())]

    def wait(self, event, timeout=10, **fields):
        """The next such event."""
        end = time.monotonic() + timeout
        with self.news:
            while True:
                while self.cursor < len(self.seen):
                    one = self.seen[self.cursor]
                    self.cursor += 1
                    if one['event'] == event and all(one.get(key) == value for key, value in fields.items()):
                        return one
                if not self.news.wait(end - time.monotonic()):
                    raise RuntimeError('%s: no event %s %s within %g s' % (self.name, event, fields or '', timeout))

    @property
    def links(self):
        """Voice links so far."""
        return len(self.events('sco', state='open'))

    @property
    def codec(self):
        """Of the last voice link."""
        return self.events('sco', state='open')[-1]['codec']

    def record(self, link):
        """What was heard over this voice link, which is closed."""
        return self.events('sco', state='closed')[link - 1]['record']

    def leave(self):
        """It goes, as a phone that is switched off."""
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(10)
