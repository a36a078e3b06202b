"""drive.py msbc|cvsd: the part of a client program and of the person at the machine. Ends with 0 when all went well."""
import json
import os
import shutil
import subprocess
import sys
import time

import callscoot_client

CODEC = sys.argv[1]
NAME = {'msbc': 'mSBC', 'cvsd': 'CVSD'}[CODEC]
NUMBER_IN, NUMBER_OUT = '+15550100', '+15550142'
SPEECH_S = 9
client = callscoot_client.CallScootClient('http://127.0.0.1:8080')


def until(what, ask, timeout=20.0):
    """Waits for ask() to give something true, and returns it."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            answer = ask()
        except callscoot_client.CallScootClientError:
            answer = None
        if answer:
            return answer
        time.sleep(0.1)
    raise SystemExit('not within %g s: %s\n%s' % (timeout, what, json.dumps(phones(), indent=1)))


def phones():
    return client._request('GET', '/v1/phones')


def phone_script():
    codecs = ['cvsd', 'msbc'] if CODEC == 'msbc' else ['cvsd']
    return {
        'play': 'phone.wav', 'record': 'logs/phone_heard.wav', 'codecs': codecs,
        'script': [
            {'wait': 'slc', 'timeout': 30}, {'sleep': 2},
            {'incoming': NUMBER_IN}, {'wait': 'call', 'state': 'active', 'timeout': 20},
            {'wait': 'sco', 'state': 'open'}, {'indicator': {'signal': 2, 'battchg': 3}}, {'sleep': SPEECH_S},
            {'hangup': 'all'}, {'wait': 'sco', 'state': 'closed'},
            {'wait': 'call', 'state': 'active', 'timeout': 30}, {'wait': 'call', 'state': 'ended', 'timeout': 40},
            {'wait': 'sco', 'state': 'closed'}, {'sleep': 1},
        ],
    }


def pair():
    client._request('POST', '/v1/phones/pairing-window', {'timeout_sec': 60})
    with open('/tmp/phone.json', 'w') as file:
        json.dump(phone_script(), file)
    phone = subprocess.Popen([sys.executable, os.environ['BENCH'] + '/phone.py', '/tmp/phone.json'],
                             stdout=open('logs/phone.jsonl', 'w'), stderr=open('logs/phone.err', 'w'))

    def paired():
        state = phones()
        if (state['pairing'].get('asks') or {}).get('kind') in ('compare', 'allow'):
            print('the phone asks: %s' % state['pairing']['asks'])
            client._request('POST', '/v1/phones/pairing-answer', {'accept': True})
        return [one for one in state['phones'] if one['paired'] and one['link'] == 'connected']
    until('a phone is paired and connected', paired, 40)
    return phone


def finished(session_id):
    call = client.get_call(session_id)['meta']
    print('%s: %s, %s, %s' % (call['direction'], call['phase'], call['end_reason'], json.dumps(call.get('audio'))))
    return call


def keep_what_the_agent_heard(calls, name):
    """The simulated agent's record is whole when it has closed."""
    until('the agent has closed', lambda: open('logs/agent.jsonl').read().count('"event":"closed"') == calls)
    time.sleep(0.2)
    shutil.copy('logs/agent_heard.wav', name)


def main():
    until('the service answers', lambda: client.health()['ok'])
    client.patch_config(telephony_backend='hfp', auto_answer=True, auto_answer_delay_sec=0)
    until('the host is ready', lambda: phones()['fault'] is None)
    phone = pair()
    print('paired: %s' % json.dumps(phones()['phones'][0]))

    session = until('a call comes in', client.current_call)['id']
    until('it is active', lambda: (client.current_call() or {}).get('phase') == 'active')
    until('it is over', lambda: client.get_call(session)['meta']['end_reason'], SPEECH_S + 20)
    inbound = finished(session)
    keep_what_the_agent_heard(1, 'logs/agent_heard_inbound.wav')

    dialled = client.queue_outbound_call(NUMBER_OUT)
    print('dialled: %s' % json.dumps({key: dialled[key] for key in ('via', 'backend', 'number', 'session_id')}))
    session = dialled['session_id']
    until('the other end answers', lambda: (client.current_call() or {}).get('phase') == 'active', 30)
    time.sleep(SPEECH_S)
    client.hangup_current_call()
    until('it is over', lambda: client.get_call(session)['meta']['end_reason'])
    outbound = finished(session)
    keep_what_the_agent_heard(2, 'logs/agent_heard_outbound.wav')
    code = phone.wait(30)

    expected = [
        (code, 0), (inbound['telephony_backend'], 'hfp'), (inbound['incoming_number'], NUMBER_IN),
        (inbound['end_reason'], 'remote_hangup'), (outbound['end_reason'], 'local_hangup'),
        (outbound['incoming_number'], NUMBER_OUT), (dialled['via'], 'hfp'),
        (inbound['audio'].get('codec'), NAME), (outbound['audio'].get('codec'), NAME),
    ]
    wrong = [pair for pair in expected if pair[0] != pair[1]]
    print('wrong: %s' % wrong if wrong else 'all is as it should be')
    sys.exit(bool(wrong))


main()
