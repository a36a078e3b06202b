"""The adapter is switched off in the middle of a call, and is switched on again: the phone comes back, and the call is found. It is
unplugged in a call, plugged in while rfkill blocks it, and unblocked: each is told, and the phone comes back without a hand.

The radio of the bench is one program, so the phone's radio goes with the adapter; the phone keeps its keys. Kernel 6.1.192
crashes here (l2cap_sock_release) when it calls for a phone that is not there: so the phone is on before the adapter is."""
import os
import signal
import struct
import subprocess
import time

import dbus

from stage import check, play, until


def switch_off():
    """As `bluetoothctl power off`."""
    adapter = dbus.SystemBus().get_object('org.bluez', '/org/bluez/hci0')
    dbus.Interface(adapter, 'org.freedesktop.DBus.Properties').Set('org.bluez.Adapter1', 'Powered', False)


def unplug():
    pid = int(subprocess.run(['pidof', 'btvirt'], capture_output=True, text=True).stdout.split()[0])
    os.kill(pid, signal.SIGKILL)


def block(yes):
    """As `rfkill block bluetooth`, for adapters to come, too: <linux/rfkill.h>, RFKILL_OP_CHANGE_ALL, RFKILL_TYPE_BLUETOOTH."""
    with open('/dev/rfkill', 'wb', buffering=0) as rfkill:
        rfkill.write(struct.pack('IBBBB', 0, 2, 3, yes, 0))


def plug():
    with open('logs/btvirt.log', 'a', encoding='utf-8') as log:
        subprocess.Popen(['btvirt', '-l1', '-s/tmp'], stdout=log, stderr=log)


def scenario(stage):
    client = stage.service.client
    phone = stage.paired_phone(keys='/tmp/phone.keys')
    call = stage.call_in(phone)
    stage.exchange('before', phone)
    switch_off()
    started = time.monotonic()
    phone.wait('acl', state='closed')
    phone.wait('sco', state='open', timeout=30)
    print('heard again %.1f s after the adapter was switched off' % (time.monotonic() - started))
    stage.exchange('switched off and on', phone)
    check('the call', client.current_call()['id'], call)
    check('how the call ended', stage.hangs_up(phone, call)['end_reason'], 'remote_hangup')
    phone.wait('sco', state='closed')

    call = stage.call_in(phone)
    phone.wait('sco', state='open')
    unplug()
    started = time.monotonic()
    until('the fault is told', lambda: client.phones()['fault'] == 'this machine has no Bluetooth adapter')
    check('adapter', client.phones()['adapter'], None)
    code, words = stage.service.command('doctor')
    check('the doctor finds fault', [code != 0, 'no Bluetooth adapter' in words], [True, True])
    ended = stage.over(call, 30)
    print('given up %.1f s after the adapter went' % (time.monotonic() - started))
    check('how the call ended', ended['end_reason'], 'phone_lost')
    phone.process.kill()

    block(True)
    plug()
    until('the fault is told', lambda: 'rfkill unblock bluetooth' in (client.phones()['fault'] or ''))
    print('plugged in: %s' % client.phones()['fault'])
    again = stage.phone(keys='/tmp/phone.keys', record='logs/phone_heard_again.wav')
    check('the phone', again.address, phone.address)
    block(False)
    stage.comes_back(again, 'plugged in and unblocked')
    call = stage.call_in(again)
    stage.exchange('plugged in', again)
    check('how the call ended', stage.hangs_up(again, call)['end_reason'], 'remote_hangup')
    again.wait('sco', state='closed')


play(scenario)
