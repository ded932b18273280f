// Links as `ip link` sees them: the kernel's devices, lo (ifindex 1), VLAN devices, and per device the switches of
// /proc/sys/net/ipv{4,6}/conf. Up, down, MTU and address changes reach the other parts of the stack from here.
//
// Bridges are in bridge/, veth pairs in veth.ts, tun and tap in tun/. Left out: every other virtual kind (refused with the kernel's
// message), VLAN protocol 802.1ad, egress and ingress priority maps, GVRP/MVRP, QinQ.

import { EBUSY, EEXIST, EINVAL, ENETDOWN, ENODEV, EOPNOTSUPP, ERANGE } from '../../driver/errno.ts';
import type { Kernel } from '../../driver/kernel.ts';
import type { NetNamespace } from '../../driver/net-namespace.ts';
import type { ExtAck, LinkStats64, NetDeviceOps } from '../../driver/netdev.ts';
import {
  IFF_BROADCAST,
  IFF_LOOPBACK,
  IFF_MULTICAST,
  NetDevice,
  zeroStats64,
} from '../../driver/netdev.ts';
import { OK, refuse } from './answer.ts';
import type { Answer } from './answer.ts';
import { registerDeviceConf } from './conf.ts';
import type { LinkKind } from './link-kind.ts';
import type { Sysctl } from './sysctl.ts';

/** Switches of one device (`net.ipv4.conf.DEV.*`, `net.ipv6.conf.DEV.*`), 0 or 1 unless said otherwise. */
export class DeviceConf {
  forwarding4 = 0;
  forwarding6 = 0;
  /** 0 off, 1 strict, 2 loose; the larger of `all` and the device's counts. */
  rpFilter = 0;
  sendRedirects = 1;
  acceptLocal = 0;
  disableIpv6 = 0;
  /** How link-local addresses come about: 0 eui64, 1 none, 2 stable_secret, 3 random. */
  addrGenMode = 0;
}

/** A VLAN device and its counters. */
export class VlanDevice {
  readonly dev: NetDevice;
  readonly lower: NetDevice;
  readonly vlanId: number;
  readonly stats: LinkStats64;
  /** Links of the namespace that the lower device is in. */
  below: Links;

  constructor(dev: NetDevice, lower: NetDevice, vlanId: number, stats: LinkStats64, below: Links) {
    this.stats = stats;
    this.below = below;
    this.dev = dev;
    this.lower = lower;
    this.vlanId = vlanId;
  }
}

/** What a device takes along to another namespace: its kind, and the VLAN devices that stand on it. */
export interface Luggage {
  kind: LinkKind | null;
  vlan: VlanDevice | null;
  uppers: VlanDevice[];
}

export class Links {
  readonly lo: NetDevice;
  readonly loStats: LinkStats64 = zeroStats64();
  /** The switches that `all` sets for every device and `default` gives new ones. */
  readonly allConf = new DeviceConf();
  readonly defaultConf = new DeviceConf();

  /** Devices (ifindex) that have been up: their queueing discipline is attached. */
  readonly everUp = new Set<number>();

  /** The namespace that they are the links of. */
  readonly net: NetNamespace;

  private readonly kernel: Kernel;
  private readonly sysctl: Sysctl;
  private readonly onDisableIpv6: (dev: NetDevice, off: boolean) => void;
  private readonly confs: (DeviceConf | undefined)[] = [];
  private readonly kinds = new Map<NetDevice, LinkKind>();
  /** VLAN devices of this namespace; by tag, those on devices of this namespace (a VLAN device can be moved away from below). */
  private readonly vlans = new Map<NetDevice, VlanDevice>();
  private readonly byTag = new Map<number, VlanDevice>();

  constructor(
    kernel: Kernel,
    sysctl: Sysctl,
    onDisableIpv6: (dev: NetDevice, off: boolean) => void,
    net: NetNamespace,
  ) {
    this.kernel = kernel;
    this.net = net;
    this.sysctl = sysctl;
    this.onDisableIpv6 = onDisableIpv6;
    registerDeviceConf(sysctl, 'all', this.allConf, this.setAll);
    registerDeviceConf(sysctl, 'default', this.defaultConf, null);
    this.lo = new NetDevice('lo', virtualOps(this.loStats));
    this.lo.ifindex = 1;
    this.lo.mtuBytes = 65536;
    this.lo.minMtuBytes = 0;
    this.lo.maxMtuBytes = 0x7fff_ffff;
    this.lo.flags = IFF_LOOPBACK;
    this.lo.carrier = true;
    kernel.register_netdev(this.lo, net);
  }

  /** All devices by ifindex; each has its conf afterwards. */
  all(): NetDevice[] {
    const devices = this.net.all();
    for (const dev of devices) this.conf(dev);
    return devices;
  }

  byName(name: string): NetDevice | null {
    const dev = this.net.byName(name);
    if (dev !== null) this.conf(dev);
    return dev;
  }

  byIndex(ifindex: number): NetDevice | null {
    return this.net.byIndex(ifindex);
  }

  /** The device's switches, made from the defaults when the device is new. */
  conf(dev: NetDevice): DeviceConf {
    const known = this.confs[dev.ifindex];
    if (known !== undefined) return known;
    const conf = Object.assign(new DeviceConf(), this.defaultConf);
    if (this.allConf.disableIpv6 !== 0) conf.disableIpv6 = 1;
    this.confs[dev.ifindex] = conf;
    registerDeviceConf(this.sysctl, dev.name, conf, (key, value) => {
      if (key === 'disableIpv6') this.onDisableIpv6(dev, value !== 0);
    });
    return conf;
  }

  /** The VLAN device behind `dev`, null when it is none. */
  vlan(dev: NetDevice): VlanDevice | null {
    return this.vlans.size === 0 ? null : (this.vlans.get(dev) ?? null);
  }

  /** What a device of a kind of its own says of itself, null for others (VLAN devices are asked by `vlan`). */
  kind(dev: NetDevice): LinkKind | null {
    return this.kinds.size === 0 ? null : (this.kinds.get(dev) ?? null);
  }

  /** Whoever registered `dev` says what it is. */
  setKind(dev: NetDevice, kind: LinkKind): void {
    this.kinds.set(dev, kind);
    this.conf(dev);
  }

  /** The VLAN device for a tag received on `lower`, null for none. */
  vlanFor(lower: NetDevice, vlanId: number): VlanDevice | null {
    return this.byTag.get(lower.ifindex * 4096 + vlanId) ?? null;
  }

  /** Devices stacked on `lower`. */
  vlansOn(lower: NetDevice): NetDevice[] {
    return [...this.byTag.values()].filter((v) => v.lower === lower).map((v) => v.dev);
  }

  /** Counters of any device. */
  stats(dev: NetDevice): LinkStats64 {
    return this.kernel.dev_get_stats(dev);
  }

  /** `ip link add link LOWER name NAME type vlan id ID`. */
  addVlan(lower: NetDevice, name: string, vlanId: number, mac: Uint8Array | null = null): Answer {
    if (!(vlanId >= 0 && vlanId <= 4094))
      return refuse(ERANGE, '8021q: Invalid VLAN id', 'vlan-id');
    if ((lower.flags & IFF_LOOPBACK) !== 0)
      return refuse(EOPNOTSUPP, '8021q: VLANs not supported on device', 'vlan-device');
    if (this.vlanFor(lower, vlanId) !== null)
      return refuse(EEXIST, '8021q: VLAN device already exists', 'vlan-exists');
    const stats = zeroStats64();
    const dev = new NetDevice(name, virtualOps(stats));
    dev.mac.set(mac ?? lower.mac);
    dev.mtuBytes = lower.mtuBytes;
    dev.minMtuBytes = 0;
    dev.maxMtuBytes = 65535;
    dev.flags = lower.flags & (IFF_BROADCAST | IFF_MULTICAST);
    dev.carrier = lower.carrier;
    const error = this.kernel.register_netdev(dev, this.net);
    if (error !== 0) return { error, message: '', reason: 'register' };
    const vlan = new VlanDevice(dev, lower, vlanId, stats, this);
    this.vlans.set(dev, vlan);
    this.byTag.set(lower.ifindex * 4096 + vlanId, vlan);
    this.conf(dev);
    return OK;
  }

  /** `ip link del`: devices of a virtual kind; a driver's device answers EOPNOTSUPP, as in Linux. */
  remove(dev: NetDevice): Answer {
    const kind = this.kinds.get(dev);
    if (kind !== undefined) return kind.remove();
    if (!this.vlans.has(dev)) return refuse(EOPNOTSUPP, '', 'link-delete');
    this.kernel.unregister_netdev(dev);
    return OK;
  }

  /** A device is gone from this namespace: its switches go, and what is known of it. */
  forget(dev: NetDevice): void {
    this.kinds.delete(dev);
    const vlan = this.vlans.get(dev);
    if (vlan !== undefined) vlan.below.removeTag(vlan);
    this.vlans.delete(dev);
    this.everUp.delete(dev.ifindex);
    this.confs[dev.ifindex] = undefined;
    this.sysctl.unregister(`net/ipv4/conf/${dev.name}`);
    this.sysctl.unregister(`net/ipv6/conf/${dev.name}`);
  }

  /** No frame with its tag reaches a VLAN device any more. */
  private removeTag(vlan: VlanDevice): void {
    this.byTag.delete(vlan.lower.ifindex * 4096 + vlan.vlanId);
  }

  /** What has to go along when a device leaves for another namespace; `adopt` takes it there. */
  release(dev: NetDevice): Luggage {
    const uppers = [...this.byTag.values()].filter((v) => v.lower === dev);
    for (const upper of uppers) this.removeTag(upper);
    const luggage = { kind: this.kind(dev), vlan: this.vlan(dev), uppers };
    this.vlans.delete(dev);
    return luggage;
  }

  /** A device has come from another namespace. */
  adopt(dev: NetDevice, { kind, vlan, uppers }: Luggage): void {
    if (kind !== null) this.kinds.set(dev, kind);
    if (vlan !== null) this.vlans.set(dev, vlan);
    for (const upper of uppers) {
      upper.below = this;
      this.byTag.set(dev.ifindex * 4096 + upper.vlanId, upper);
    }
    this.conf(dev);
  }

  /** `ip link set up`. ENETDOWN for a VLAN device whose lower device is down. */
  up(dev: NetDevice): Answer {
    const vlan = this.vlan(dev);
    if (vlan !== null && !vlan.lower.isUp) return refuse(ENETDOWN, '', 'lower-down');
    const error = this.kernel.dev_open(dev);
    return error === 0 ? OK : { error, message: '', reason: 'open' };
  }

  down(dev: NetDevice): Answer {
    this.kernel.dev_close(dev);
    return OK;
  }

  /** `ip link set mtu`. A VLAN device cannot exceed its lower one (ERANGE). */
  setMtu(dev: NetDevice, mtuBytes: number): Answer {
    const vlan = this.vlan(dev);
    if (vlan !== null && mtuBytes > vlan.lower.mtuBytes) return refuse(ERANGE, '', 'vlan-mtu');
    const extack: ExtAck = { message: '', reason: '' };
    const error = this.kernel.dev_set_mtu(dev, mtuBytes, extack);
    return error === 0 ? OK : { error, ...extack };
  }

  /** `ip link set address`. */
  setAddress(dev: NetDevice, mac: Uint8Array): Answer {
    const extack: ExtAck = { message: '', reason: '' };
    const error = this.kernel.dev_set_mac_address(dev, mac, extack);
    return error === 0 ? OK : { error, message: '', reason: extack.reason };
  }

  /** `ip link set name`. */
  rename(dev: NetDevice, name: string): Answer {
    if (dev.isUp) return refuse(EBUSY, '', 'link-up');
    const old = dev.name;
    const error = this.kernel.dev_change_name(dev, name);
    if (error === -EEXIST || error === -EINVAL || error === -ENODEV)
      return { error, message: '', reason: 'link-name' };
    this.sysctl.unregister(`net/ipv4/conf/${old}`);
    this.sysctl.unregister(`net/ipv6/conf/${old}`);
    this.confs[dev.ifindex] = undefined;
    this.conf(dev);
    return OK;
  }

  private readonly setAll = (key: keyof DeviceConf, value: number): void => {
    if (key !== 'forwarding4' && key !== 'forwarding6' && key !== 'disableIpv6') return;
    this.defaultConf[key] = value;
    const path = CONF_PATHS[key];
    this.sysctl.set(`net/${path[0]}/conf/default/${path[1]}`, String(value));
    for (const dev of this.all())
      this.sysctl.set(`net/${path[0]}/conf/${dev.name}/${path[1]}`, String(value));
  };
}

const CONF_PATHS = {
  forwarding4: ['ipv4', 'forwarding'],
  forwarding6: ['ipv6', 'forwarding'],
  disableIpv6: ['ipv6', 'disable_ipv6'],
} as const;

/** Ops of a device that exists only in the stack: NetStack.xmit carries its packets on, so nothing reaches xmit here. */
function virtualOps(stats: LinkStats64): NetDeviceOps {
  return {
    ndo_open: () => 0,
    ndo_stop: () => 0,
    ndo_start_xmit: () => 0,
    ndo_set_mac_address: (dev, mac) => {
      dev.mac.set(mac);
      return 0;
    },
    ndo_get_stats64: (_dev, out) => {
      Object.assign(out, stats);
    },
  };
}
