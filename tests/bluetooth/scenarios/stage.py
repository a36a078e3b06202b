"""What every scenario stands on: the service and its simulated agent, bluetoothd, speech in both directions, and checks that
say what is wrong. The phone is in phone.py of this folder."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback

import callscoot_client
from caller import Phone

ERRORS = callscoot_client.CallScootClientError
NAME = {'msbc': 'mSBC', 'cvsd': 'CVSD'}            # codecs as a session's `audio` has them
SENTENCES = 4            # caller1.wav, agent1.wav ...; none twice in a call, where one would be judged for the other


class Failed(Exception):
    pass


def until(what, ask, timeout=20.0, every=0.1):
    """Waits for ask() to give something true, and returns it."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            answer = ask()
        except ERRORS:
            answer = None
        if answer:
            return answer
        time.sleep(every)
    raise Failed('not within %g s: %s' % (timeout, what))


def check(what, got, wanted):
    if got != wanted:
        raise Failed('%s: %r instead of %r' % (what, got, wanted))


def lines(path):
    """The whole lines of JSON in a file that grows."""
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file if line.endswith('\n')]


class Service:
    """callscoot, as it is installed; restarted as often as a scenario likes."""

    def __init__(self):
        self.process = None
        self.client = callscoot_client.CallScootClient('http://127.0.0.1:8080')

    def start(self):
        environment = dict(os.environ, CALLSCOOT_LOG='debug', CALLSCOOT_API_PORT='8080', ELEVENLABS_AGENT_ID='bench',
                           ELEVENLABS_BASE_URL='http://127.0.0.1:8081')
        with open('logs/service.log', 'a', encoding='utf-8') as log:
            self.process = subprocess.Popen(['./callscoot', 'serve'], env=environment, stdout=log, stderr=log)
        until('the service answers', lambda: self.client.health()['ok'])
        self.client.patch_config(telephony_backend='hfp', auto_answer=True, auto_answer_delay_sec=0)

    def stop(self):
        """As systemd does it."""
        self.process.send_signal(signal.SIGTERM)
        check('how the service ends', self.process.wait(10), 0)

    def command(self, *arguments):
        """Runs `callscoot ...`; its exit code and what it says."""
        done = subprocess.run(['./callscoot', *arguments], capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, CALLSCOOT_API_PORT='8080'))
        return done.returncode, done.stdout + done.stderr

    def phone(self, address):
        """One that it knows, or an empty object."""
        return next((one for one in self.client.phones()['phones'] if one['address'] == address), {})

    def ready(self, timeout=20):
        until('the host is ready', lambda: self.client.phones()['fault'] is None, timeout)

    def session(self, session_id):
        return self.client.get_call(session_id)

    def ended(self, session_id, timeout=20):
        until('the call is over', lambda: self.session(session_id)['meta']['end_reason'], timeout)
        return self.session(session_id)['meta']

    def events(self, session_id, *types):
        """The call's events of these types, as [type, what matters of it]."""
        return [one for one in self.session(session_id)['events'] if one['type'] in types]


class Agent:
    """`callscoot sim agent`: says the next sentence when it is told to, and keeps what it hears."""

    def __init__(self):
        steps = [{'when': 'after_message', 'say': {'wav': 'agent%d.wav' % (1 + n % SENTENCES)}, 'text': 'speech',
                  'ignore_caller': True} for n in range(20)]
        with open('script.json', 'w', encoding='utf-8') as file:
            json.dump({'input_format': 'pcm_16000', 'output_format': 'pcm_16000', 'steps': steps}, file)
        self.calls = 0
        with open('logs/agent.jsonl', 'w', encoding='utf-8') as out, open('logs/agent.err', 'w', encoding='utf-8') as err:
            self.process = subprocess.Popen(
                ['./callscoot', 'sim', 'agent', '--port', '8081', '--script', 'script.json', '--record',
                 'logs/agent_heard.wav'], stdout=out, stderr=err)

    def count(self, event):
        return sum(one['event'] == event for one in lines('logs/agent.jsonl'))

    def keep(self):
        """Its record is whole when it has closed; the next call begins a new one."""
        self.calls += 1
        until('the agent has closed', lambda: self.count('closed') == self.calls)
        time.sleep(0.2)
        name = 'logs/agent_heard-%d.wav' % self.calls
        shutil.copy('logs/agent_heard.wav', name)


class Bluetoothd:
    """The host, which the guest has started."""
    PROGRAM = '/usr/libexec/bluetooth/bluetoothd'

    def pid(self):
        return int(subprocess.run(['pidof', 'bluetoothd'], capture_output=True, text=True).stdout.split()[0])

    def kill(self, how=signal.SIGTERM):
        """SIGTERM: it switches the radio off and says goodbye. SIGKILL: it just is not there any more."""
        os.kill(self.pid(), how)
        until('bluetoothd has ended', lambda: subprocess.run(['pidof', 'bluetoothd'], stdout=subprocess.DEVNULL).returncode)

    def start(self):
        with open('logs/bluetoothd.log', 'a', encoding='utf-8') as log:
            subprocess.Popen([self.PROGRAM, '-n', '-d'], stdout=log, stderr=log)


class Stage:
    """All of it together."""

    def __init__(self, ready):
        self.agent, self.service, self.bluetoothd = Agent(), Service(), Bluetoothd()
        self.service.start()
        if ready:
            self.service.ready()
        self.phones, self.said, self.sentence = [], [], 0

    def phone(self, label='phone', **config):
        phone = Phone(label, config)
        self.phones.append(phone)
        return phone

    def paired_phone(self, label='phone', **config):
        """A phone that was let in, as a person does it, and is connected."""
        self.service.client.open_pairing_window(60)
        phone = self.phone(label, **config)
        phone.begin({'connect': True})
        until('a phone asks', self.asks, 40)
        print('the phone asks: %s' % json.dumps(self.asks()))
        self.answer_pairing(True)
        self.connected(phone)
        return phone

    def asks(self):
        return self.service.client.phones()['pairing']['asks']

    def answer_pairing(self, accept):
        self.service.client.answer_pairing(accept)

    def connected(self, phone, timeout=40):
        until('%s is connected' % phone.name, lambda: self.service.phone(phone.address).get('link') == 'connected', timeout)

    def comes_back(self, phone, after):
        """The service finds all it needs again, and the phone is connected, without a hand."""
        started = time.monotonic()
        self.service.ready()
        self.connected(phone)
        print('%s: connected again after %.1f s' % (after, time.monotonic() - started))

    # -- calls ---------------------------------------------------------------------------------------------------------
    def active(self, session_id, timeout=20):
        until('the call is active', lambda: self.service.session(session_id)['meta']['phase'] == 'active', timeout)
        until('the agent takes part', lambda: self.agent.count('initiated') == self.agent.calls + 1)
        self.sentence = 0
        return session_id

    def call_in(self, phone, number='+15550100'):
        """Somebody calls, and the service answers; the session."""
        phone.do({'incoming': number})
        return self.active(until('a call comes in', self.service.client.current_call)['id'])

    def hangs_up(self, phone, session_id):
        """The other end; the session's meta."""
        phone.do({'hangup': 'all'})
        return self.over(session_id)

    def over(self, session_id, timeout=20):
        meta = self.service.ended(session_id, timeout)
        self.agent.keep()
        print('%s: %s, %s, %s' % (meta['direction'], meta['phase'], meta['end_reason'], json.dumps(meta.get('audio'))))
        return meta

    def exchange(self, what, phone):
        """A sentence of the caller's and one of the agent's, over the voice link that is open now, to be judged later."""
        until('a voice link is open (%s)' % what, lambda: phone.links > len(phone.events('sco', state='closed')))
        self.sentence += 1
        number = 1 + (self.sentence - 1) % SENTENCES
        link, codec = phone.links, phone.codec
        caller = 'caller%d' % number
        said = self.agent.count('said')
        phone.begin({'say': caller + ('.wav' if codec == 'msbc' else '-8k.wav')})
        self.service.client.send_user_message('speak')
        until('the agent has spoken (%s)' % what, lambda: self.agent.count('said') > said, 30)
        phone.wait('said', 30)
        time.sleep(0.5)                     # the last words are on their way
        check('voice links so far (%s)' % what, phone.links, link)
        rate = 16000 if codec == 'msbc' else 8000
        call = self.agent.calls + 1
        self.said += [
            {'what': '%s, the agent hears' % what, 'rate': rate, 'said': caller + '.wav',
             'heard': lambda: 'logs/agent_heard-%d.wav' % call},
            {'what': '%s, the phone hears' % what, 'rate': rate, 'said': 'agent%d.wav' % number,
             'heard': lambda: phone.record(link)},
        ]

    # -- the end -------------------------------------------------------------------------------------------------------
    def leave(self):
        for phone in self.phones:
            phone.leave()
        self.service.stop()
        with open('logs/exchanges.json', 'w', encoding='utf-8') as file:
            json.dump([dict(one, heard=one['heard']()) for one in self.said], file)

    def show(self):
        """What a person wants to see when it went wrong."""
        try:
            print(json.dumps(self.service.client.phones(), indent=1))
        except (ERRORS, OSError) as error:
            print('no phones: %s' % error)
        for path in ['logs/service.log'] + [phone.log for phone in self.phones]:
            print('--- the end of %s' % path)
            with open(path, encoding='utf-8') as file:
                print(''.join(file.readlines()[-15:]), end='')


def play(scenario, ready=True):
    """Runs scenario(stage) and ends the process. Not ready: something keeps the phones from being used."""
    stage = Stage(ready)
    try:
        scenario(stage)
        stage.leave()
    except Exception as error:
        if not isinstance(error, Failed):
            traceback.print_exc(file=sys.stdout)
        stage.show()
        print('FAILED: %s' % error)
        sys.stdout.flush()
        os._exit(1)
    print('all is as it should be')
    sys.stdout.flush()
    os._exit(0)
