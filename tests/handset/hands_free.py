"""A hands-free unit of its own, against `callscoot sim phone --hfp`: D-Bus with python-dbus, AT lines by hand, no part
of callscoot. Told what to do by lines on standard input, it tells what happens as JSON lines.

    register            the agent and the hands-free profile; "device" in later lines is the first device there is
    discoverable        the adapter is found and can be paired with
    reject              the agent says no from now on
    call METHOD [ARG]   a method of Device1; its end comes as {"event": "done" or "error"}
    remove              Adapter1.RemoveDevice
    set NAME VALUE      a property of the device (JSON)
    at LINE             an AT command
    sco connect|listen  opens a voice link in CALLSCOOT_SCO_DIR, or waits for one; everything that comes is sent back
    close               closes its copy of the stream and nothing more; the next line is the last that it reads
    shutdown            ends the stream
    second              another client of the bus wants the same profile
"""
import json
import os
import socket
import sys
import threading
import time

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

HF, AG = '0000111e-0000-1000-8000-00805f9b34fb', '0000111f-0000-1000-8000-00805f9b34fb'
ADAPTER, DEVICE, PROPERTIES = 'org.bluez.Adapter1', 'org.bluez.Device1', 'org.freedesktop.DBus.Properties'
LOCK = threading.Lock()


def tell(event, **about):
    with LOCK:
        print(json.dumps({'event': event, **about}), flush=True)


def plain(value):
    if isinstance(value, dbus.Boolean):
        return bool(value)
    if isinstance(value, (dbus.Byte, dbus.UInt16, dbus.UInt32)):
        return int(value)
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value)


class Rejected(dbus.DBusException):
    _dbus_error_name = 'org.bluez.Error.Rejected'


class Agent(dbus.service.Object):
    rejects = False

    def _decide(self, method, *about):
        tell('agent', method=method, about=[plain(one) for one in about])
        if self.rejects:
            raise Rejected('no')

    @dbus.service.method('org.bluez.Agent1', in_signature='ou')
    def RequestConfirmation(self, device, passkey):
        self._decide('RequestConfirmation', device, passkey)

    @dbus.service.method('org.bluez.Agent1', in_signature='o')
    def RequestAuthorization(self, device):
        self._decide('RequestAuthorization', device)

    @dbus.service.method('org.bluez.Agent1', in_signature='os')
    def AuthorizeService(self, device, uuid):
        self._decide('AuthorizeService', device, uuid)

    @dbus.service.method('org.bluez.Agent1')
    def Cancel(self):
        tell('agent', method='Cancel', about=[])


class Profile(dbus.service.Object):
    stream = None

    @dbus.service.method('org.bluez.Profile1', in_signature='oha{sv}')
    def NewConnection(self, device, fd, about):
        self.stream = socket.socket(fileno=fd.take())
        tell('connection', device=str(device), about=plain(about))
        threading.Thread(target=self._read, args=(self.stream,), daemon=True).start()

    @dbus.service.method('org.bluez.Profile1', in_signature='o')
    def RequestDisconnection(self, device):
        tell('disconnection', device=str(device))

    def _read(self, stream):
        rest = b''
        while True:
            try:
                came = stream.recv(500)
            except OSError:
                came = b''
            if not came:
                tell('stream_over')
                return
            lines = (rest + came).split(b'\r\n')
            rest = lines.pop()
            for line in lines:
                if line:
                    tell('at', line=line.decode())


def echo(link):
    tell('sco', state='open')
    count = 0
    while True:
        try:
            packet = link.recv(1000)
        except OSError:
            packet = b''
        if not packet:
            tell('sco', state='closed', packets=count)
            return
        if count == 0:
            tell('sco_packet', len=len(packet))
        count += 1
        try:
            link.send(packet)
        except OSError:
            pass


def sco(how, adapter, phone):
    folder, link = os.environ['CALLSCOOT_SCO_DIR'], socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = os.path.join(folder, adapter + ('.out' if how == 'connect' else ''))
    if os.path.exists(path):
        os.remove(path)
    link.bind(path)
    if how == 'connect':
        link.connect(os.path.join(folder, phone))
        threading.Thread(target=echo, args=(link,), daemon=True).start()
    else:
        link.listen(1)
        threading.Thread(target=lambda: [echo(link.accept()[0]) for _ in range(9)], daemon=True).start()
        tell('listening')


class Unit:
    def __init__(self):
        self.bus = dbus.SystemBus()
        self.bus.add_signal_receiver(self.signal, bus_name='org.bluez', path_keyword='path', member_keyword='member')
        self.agent, self.profile = Agent(self.bus, '/agent'), Profile(self.bus, '/profile')
        objects = self.at('/', 'org.freedesktop.DBus.ObjectManager').GetManagedObjects()
        self.adapter = next(path for path, faces in objects.items() if ADAPTER in faces)
        self.address = str(objects[self.adapter][ADAPTER]['Address'])
        self.device = next((path for path, faces in objects.items() if DEVICE in faces), None)
        tell('objects', objects=plain(objects))

    def at(self, path, interface):
        return dbus.Interface(self.bus.get_object('org.bluez', path, introspect=False), interface)

    def signal(self, *arguments, path=None, member=None):
        if member == 'InterfacesAdded':
            self.device = arguments[0]
        tell('signal', member=member, path=str(path), arguments=plain(list(arguments)))

    def done(self, name, reply=None):
        tell('done', name=name)

    def failed(self, name, error):
        tell('error', name=name, error=error.get_dbus_name(), words=error.get_dbus_message())

    def begin(self, path, interface, method, *arguments):
        self.bus.get_object('org.bluez', path, introspect=False).get_dbus_method(method, interface)(
            *arguments, timeout=30, reply_handler=lambda *reply: self.done(method),
            error_handler=lambda error: self.failed(method, error))

    def order(self, line):
        word, _, rest = line.strip().partition(' ')
        set_property = lambda path, face, name, value: self.begin(path, PROPERTIES, 'Set', face, name, value)
        if word == 'register':
            self.begin('/org/bluez', 'org.bluez.AgentManager1', 'RegisterAgent', dbus.ObjectPath('/agent'),
                       'DisplayYesNo')
            about = dbus.Dictionary({'Version': dbus.UInt16(0x108)}, signature='sv')
            self.begin('/org/bluez', 'org.bluez.ProfileManager1', 'RegisterProfile', dbus.ObjectPath('/profile'), HF,
                       about)
        elif word == 'second':
            other = dbus.bus.BusConnection(os.environ['DBUS_SYSTEM_BUS_ADDRESS'])
            try:
                manager = other.get_object('org.bluez', '/org/bluez', introspect=False)
                dbus.Interface(manager, 'org.bluez.ProfileManager1').RegisterProfile(
                    dbus.ObjectPath('/profile'), HF, dbus.Dictionary({}, signature='sv'))
                tell('second', result='registered')
            except dbus.DBusException as error:
                tell('second', result=error.get_dbus_name(), words=error.get_dbus_message())
            other.close()
        elif word == 'discoverable':
            set_property(self.adapter, ADAPTER, 'DiscoverableTimeout', dbus.UInt32(30, variant_level=1))
            set_property(self.adapter, ADAPTER, 'Discoverable', dbus.Boolean(True, variant_level=1))
            set_property(self.adapter, ADAPTER, 'Pairable', dbus.Boolean(True, variant_level=1))
        elif word == 'reject':
            self.agent.rejects = True
        elif word == 'call':
            method, *arguments = rest.split()
            self.begin(self.device, DEVICE, method, *arguments)
        elif word == 'remove':
            self.begin(self.adapter, ADAPTER, 'RemoveDevice', dbus.ObjectPath(self.device))
        elif word == 'set':
            name, _, value = rest.partition(' ')
            value = json.loads(value)
            value = dbus.Boolean(value, variant_level=1) if isinstance(value, bool) else dbus.String(value, variant_level=1)
            set_property(self.device, DEVICE, name, value)
        elif word == 'power':
            set_property(self.adapter, ADAPTER, 'Powered', dbus.Boolean(rest == 'on', variant_level=1))
        elif word == 'at':
            self.profile.stream.send(rest.encode() + b'\r')
        elif word == 'sco':
            sco(rest, self.address, self.device[-17:].replace('_', ':'))
        elif word == 'close':
            os.close(self.profile.stream.detach())
            tell('closed')
        elif word == 'shutdown':
            self.profile.stream.shutdown(socket.SHUT_RDWR)
        else:
            tell('not_understood', line=line)


def main():
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    loop, unit = GLib.MainLoop(), Unit()

    def read():
        for line in sys.stdin:
            GLib.idle_add(lambda line=line: unit.order(line) and False)
        loop.quit()
    threading.Thread(target=read, daemon=True).start()
    tell('ready')
    loop.run()


main()
