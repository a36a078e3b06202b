"""thief.py NAME: another program that has the hands-free profile, with this as the name of its process. It prints what it does,
and gives the profile back for a line on standard input; after another line it takes it again."""
import ctypes
import sys

import dbus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

PATH, HANDS_FREE = '/thief', '0000111e-0000-1000-8000-00805f9b34fb'


class Profile(dbus.service.Object):
    @dbus.service.method('org.bluez.Profile1', in_signature='oha{sv}', out_signature='')
    def NewConnection(self, device, stream, properties):
        print('has a phone', flush=True)

    @dbus.service.method('org.bluez.Profile1', in_signature='', out_signature='')
    def Release(self):
        pass


def main():
    ctypes.CDLL('libc.so.6').prctl(15, sys.argv[1].encode(), 0, 0, 0)           # PR_SET_NAME
    DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus()
    profile = Profile(bus, PATH)
    manager = dbus.Interface(bus.get_object('org.bluez', '/org/bluez'), 'org.bluez.ProfileManager1')
    state = {'has': False}

    def turn(*_):
        if not sys.stdin.readline():
            loop.quit()
            return False
        if state['has']:
            manager.UnregisterProfile(PATH)
        else:
            manager.RegisterProfile(PATH, HANDS_FREE, {'Name': 'thief'})
        state['has'] = not state['has']
        print('has it' if state['has'] else 'gave it back', flush=True)
        return True

    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, turn)
    loop.run()
    del profile


main()
