"""Another program has the hands-free profile first: it is named, with the way to free it, and the profile is taken as soon as it
is free. A phone that pairs meanwhile, and calls afterwards, is ours."""
import subprocess
import sys
import time

from stage import check, play, until


class Thief:
    def __init__(self, name):
        self.process = subprocess.Popen([sys.executable, 'thief.py', name], text=True, bufsize=1, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=open('logs/thief.err', 'a', encoding='utf-8'))

    def turn(self, expected):
        self.process.stdin.write('\n')
        check('the other program', self.process.stdout.readline(), expected + '\n')

    def ends(self):
        self.process.stdin.close()
        self.process.wait(10)


FIRST = Thief('wireplumber')


def scenario(stage):
    service, client = stage.service, stage.service.client
    fault = until('it is told', lambda: (fault := client.phones()['fault'] or '') and 'belongs to' in fault and fault)
    print('status: %s' % fault)
    check('the fault names it and the way out', ['WirePlumber' in fault, 'bluez5.roles' in fault], [True, True])
    code, words = service.command('doctor')
    print('\n'.join(line for line in words.splitlines() if 'luetooth' in line))
    check('the doctor finds fault', [code != 0, 'WirePlumber' in words], [True, True])
    code, words = service.command('pair', '--timeout', '20')
    check('nobody is let in', [code != 0, 'WirePlumber' in words], [True, True])

    FIRST.turn('gave it back')
    started = time.monotonic()
    service.ready()
    print('ours %.1f s after it was free' % (time.monotonic() - started))

    phone = stage.paired_phone()
    call = stage.call_in(phone)
    stage.exchange('after all', phone)
    stage.hangs_up(phone, call)
    phone.wait('sco', state='closed')


FIRST.turn('has it')
play(scenario, ready=False)
