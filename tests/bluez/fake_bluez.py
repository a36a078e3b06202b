"""A bluetoothd of our own for tests, on the bus of DBUS_SYSTEM_BUS_ADDRESS: one adapter, one phone, and whatever the test says.

It is written with python-dbus, so that something that is not the program under test proves what goes over the bus.
Each line of standard input is a JSON list ["what", ...]; each line of output is a JSON list of what happened.

    ["phone", true]             the phone is there, or removed; ["paired", true] and ["connected", true] change it
    ["plug", false]             the adapter is unplugged
    ["agent", "method", args]   calls the agent: a device's path is put in front, a number becomes a uint32
    ["cancel"]                  the agent's Cancel
    ["rfcomm", "text"]          NewConnection with one end of a socket pair; the text is sent over the other
    ["disconnect"]              Profile1.RequestDisconnection
    ["release"]                 Profile1.Release
    ["delay", "method", s]      answers that method of Device1 only after so many seconds; less than 0: never
    ["fail", "method", "name", "text"]   answers it with an error
    ["garbage"]                 signals whose contents have wrong types
    ["badfcomm"]                NewConnection without a descriptor; ["introspect"] a call that nobody answers
    ["adopt", "bus name"]       takes that client for one that has registered (for a host that is none)
    ["taken", true]             somebody else has the profile
"""
import json
import os
import socket
import sys
import threading

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

ROOT, ADAPTER, PHONE = '/org/bluez', '/org/bluez/hci0', '/org/bluez/hci0/dev_00_1A_7D_DA_71_13'
HANDS_FREE = '0000111e-0000-1000-8000-00805f9b34fb'
MANAGER = 'org.freedesktop.DBus.ObjectManager'
PROPERTIES = 'org.freedesktop.DBus.Properties'


def tell(*what):
    print(json.dumps(what), flush=True)


def error(name, text):
    return dbus.exceptions.DBusException(text, name=name)


class Fake(dbus.service.Object):
    """Every object of it is one Python object: the paths are few."""

    def __init__(self, bus, path, state):
        super().__init__(bus, path)
        self.path, self.state = path, state

    @dbus.service.method(PROPERTIES, in_signature='ssv', sender_keyword='sender')
    def Set(self, interface, name, value, sender=None):
        fault = self.state['fail'].get(str(name))
        if fault:
            raise error(*fault)
        tell('set', self.path[-4:], str(name), type(value).__name__, int(value))
        self.state['objects'][self.path][interface][name] = value
        self.PropertiesChanged(interface, {name: value}, [])

    @dbus.service.method(PROPERTIES, in_signature='s', out_signature='a{sv}')
    def GetAll(self, interface):
        return self.state['objects'][self.path][interface]

    @dbus.service.signal(PROPERTIES, signature='sa{sv}as')
    def PropertiesChanged(self, interface, changed, invalid):
        pass


class Root(dbus.service.Object):
    def __init__(self, bus, state):
        super().__init__(bus, '/')
        self.state = state

    @dbus.service.method(MANAGER, out_signature='a{oa{sa{sv}}}')
    def GetManagedObjects(self):
        return self.state['objects']

    @dbus.service.signal(MANAGER, signature='oa{sa{sv}}')
    def InterfacesAdded(self, path, interfaces):
        pass

    @dbus.service.signal(MANAGER, signature='oas')
    def InterfacesRemoved(self, path, interfaces):
        pass


class Managers(dbus.service.Object):
    def __init__(self, bus, state):
        super().__init__(bus, ROOT)
        self.state = state

    @dbus.service.method('org.bluez.ProfileManager1', in_signature='osa{sv}', sender_keyword='sender')
    def RegisterProfile(self, path, uuid, options, sender=None):
        if self.state['taken']:
            raise error('org.bluez.Error.NotPermitted', 'UUID already registered')
        if self.state['profile'] == (sender, path):
            raise error('org.bluez.Error.AlreadyExists', 'Already Exists')
        self.state['profile'] = (sender, path)
        kinds = {str(name): [type(value).__name__, str(value)] for name, value in options.items()}
        tell('profile', str(uuid), kinds, str(sender))

    @dbus.service.method('org.bluez.ProfileManager1', in_signature='o', sender_keyword='sender')
    def UnregisterProfile(self, path, sender=None):
        if self.state['profile'] != (sender, path):
            raise error('org.bluez.Error.DoesNotExist', 'Does Not Exist')
        self.state['profile'] = None
        tell('no profile')

    @dbus.service.method('org.bluez.AgentManager1', in_signature='os', sender_keyword='sender')
    def RegisterAgent(self, path, capability, sender=None):
        self.state['agent'] = (sender, path)
        tell('agent', str(capability))

    @dbus.service.method('org.bluez.AgentManager1', in_signature='o')
    def RequestDefaultAgent(self, path):
        tell('default agent')

    @dbus.service.method('org.bluez.AgentManager1', in_signature='o')
    def UnregisterAgent(self, path):
        self.state['agent'] = None
        tell('no agent')


class Adapter(Fake):
    @dbus.service.method('org.bluez.Adapter1', in_signature='o')
    def RemoveDevice(self, path):
        tell('remove', str(path))
        self.state['root'].InterfacesRemoved(path, ['org.bluez.Device1'])


class Device(Fake):
    @dbus.service.method('org.bluez.Device1', in_signature='s', async_callbacks=('done', 'failed'))
    def ConnectProfile(self, uuid, done, failed):
        tell('connect profile', str(uuid))
        self.answer('ConnectProfile', done, failed)

    @dbus.service.method('org.bluez.Device1', async_callbacks=('done', 'failed'))
    def Disconnect(self, done, failed):
        tell('disconnect')
        self.answer('Disconnect', done, failed)

    def answer(self, method, done, failed):
        delay, fault = self.state['delay'].get(method, 0), self.state['fail'].get(method)
        if fault:
            failed(error(*fault))
        elif delay == 0:
            done()
        elif delay > 0:
            GLib.timeout_add(int(delay * 1000), lambda: done() and False)


def device(alias='Fernsprecher', **more):
    flags = {'Paired': False, 'Trusted': False, 'Connected': False, **more}
    uuids = dbus.Array(['0000110a-0000-1000-8000-00805f9b34fb', '0000111F-0000-1000-8000-00805f9b34fb'], signature='s')
    return {'Address': '00:1A:7D:DA:71:13', 'Alias': alias, 'UUIDs': uuids, 'Adapter': dbus.ObjectPath(ADAPTER),
            'RSSI': dbus.Int16(-60), 'ManufacturerData': dbus.Dictionary({dbus.UInt16(76): dbus.ByteArray(b'x')}, signature='qv'),
            **{name: dbus.Boolean(value) for name, value in flags.items()}}


def adapter():
    return {'Address': '00:AA:01:00:00:00', 'Alias': 'pi', 'Powered': dbus.Boolean(False), 'PowerState': 'off',
            'Discoverable': dbus.Boolean(False), 'Pairable': dbus.Boolean(False), 'Class': dbus.UInt32(0),
            'PairableTimeout': dbus.UInt32(0), 'DiscoverableTimeout': dbus.UInt32(180)}


def main():
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus(private=True)
    state = {'objects': {ADAPTER: {'org.bluez.Adapter1': adapter()}, PHONE: {'org.bluez.Device1': device()}},
             'profile': None, 'agent': None, 'taken': False, 'delay': {}, 'fail': {}}
    root, _, phone, hci = Root(bus, state), Managers(bus, state), Device(bus, PHONE, state), Adapter(bus, ADAPTER, state)
    state['root'] = root
    if len(sys.argv) > 1:
        name = dbus.service.BusName(sys.argv[1], bus)
    else:
        name = dbus.service.BusName('org.bluez', bus, do_not_queue=True)
    streams = []

    def call(kind, method, signature, arguments):
        owner, path = state[kind]
        interface = {'profile': 'org.bluez.Profile1', 'agent': 'org.bluez.Agent1'}[kind]
        bus.call_async(owner, path, interface, method, signature, arguments,
                       lambda *answer: tell('answer', method, *[str(one) for one in answer]),
                       lambda problem: tell('refused', method, problem.get_dbus_name()))

    def change(name, value):
        state['objects'][PHONE]['org.bluez.Device1'][name] = dbus.Boolean(value)
        phone.PropertiesChanged('org.bluez.Device1', {name: dbus.Boolean(value)}, [])

    def rfcomm(text):
        ours, theirs = socket.socketpair()
        streams.append(ours)
        call('profile', 'NewConnection', 'oha{sv}',
             (dbus.ObjectPath(PHONE), dbus.types.UnixFd(theirs), {'Version': dbus.UInt16(0x0108)}))
        theirs.close()
        ours.send(text.encode())
        threading.Thread(target=lambda: tell('heard', ours.recv(100).decode()), daemon=True).start()

    def here(path, interface, properties, there):
        if there:
            state['objects'][path] = {interface: properties}
            root.InterfacesAdded(path, state['objects'][path])
        else:
            state['objects'].pop(path, None)
            root.InterfacesRemoved(path, [interface])

    def garbage():
        phone.PropertiesChanged('org.bluez.Device1', {'Alias': dbus.Array([1], signature='i'), 'Paired': 'yes'}, [])
        deep = dbus.Dictionary({'a': dbus.Struct((1, dbus.Array([dbus.Dictionary({'b': 2}, signature='sv')])))}, signature='sv')
        phone.PropertiesChanged('org.bluez.Device1', {'UUIDs': deep, 'Unheard': deep}, [])
        hci.PropertiesChanged('org.bluez.Adapter1', {'Powered': dbus.UInt64(1), 'Address': 'nonsense'}, [])
        root.InterfacesAdded('/org/bluez/hci0/dev_nonsense', {'org.bluez.Device1': device()})
        for interface in (MANAGER, PROPERTIES, 'org.bluez.Unheard'):
            for member in ('InterfacesAdded', 'InterfacesRemoved', 'PropertiesChanged'):
                message = dbus.lowlevel.SignalMessage('/', interface, member)
                message.append(7, signature='u')
                bus.send_message(message)

    def agent(method, *arguments):
        shaped = [dbus.UInt32(one) if isinstance(one, int) else one for one in arguments]
        signature = {'RequestConfirmation': 'ou', 'DisplayPasskey': 'ouq', 'AuthorizeService': 'os', 'DisplayPinCode': 'os'}
        call('agent', method, signature.get(method, 'o'), (dbus.ObjectPath(PHONE), *shaped))

    commands = {
        'phone': lambda there: here(PHONE, 'org.bluez.Device1', device(), there),
        'plug': lambda there: here(ADAPTER, 'org.bluez.Adapter1', adapter(), there),
        'paired': lambda value: change('Paired', value),
        'connected': lambda value: change('Connected', value),
        'agent': agent,
        'cancel': lambda: call('agent', 'Cancel', '', ()),
        'rfcomm': rfcomm,
        'badfcomm': lambda: call('profile', 'NewConnection', 'os', (dbus.ObjectPath(PHONE), 'no descriptor')),
        'disconnect': lambda: call('profile', 'RequestDisconnection', 'o', (dbus.ObjectPath(PHONE),)),
        'release': lambda: call('profile', 'Release', '', ()),
        'introspect': lambda: bus.call_async(*state['profile'], 'org.freedesktop.DBus.Introspectable', 'Introspect', '', (),
                                             lambda *_: tell('introspected'), lambda problem: tell('no', problem.get_dbus_name())),
        'delay': lambda method, seconds: state['delay'].update({method: seconds}),
        'fail': lambda method, *fault: state['fail'].update({method: fault}),
        'garbage': garbage,
        'taken': lambda value: state.update(taken=value),
    }

    def line(text):
        what, *arguments = json.loads(text)
        if what == 'adopt':
            state['profile'] = state['agent'] = (arguments[0], '/org/callscoot/handsfree')
        else:
            commands[what](*arguments)
        tell('did')

    def read():
        for text in sys.stdin:
            GLib.idle_add(line, text)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    tell('ready', name.get_name())
    GLib.MainLoop().run()


main()
