// A bridge (net/bridge): learns where stations are, forwards, floods, and gives its own device what is for the host.
//
// Frames come from the receive path of a port's device, after its ingress hooks and VLAN devices; frames of the host come through the
// bridge device's ndo_start_xmit. Inside, a VLAN tag stands in `skb.vlanTci`. A flooded frame's copies bear its packet id: the first that
// leaves ends its account, the others count as extra frames. Fates here are the classic path's.
//
// Left out: STP (ports of an up bridge forward at once), multicast snooping (groups are flooded), br_netfilter, hairpin and isolated
// ports, ARP suppression, 802.1ad.

import type { Kernel } from '../../../driver/kernel.ts';
import type { LinkStats64 } from '../../../driver/netdev.ts';
import { IFF_PROMISC, NETDEV_TX_OK, NetDevice, zeroStats64 } from '../../../driver/netdev.ts';
import type { SkBuff } from '../../../driver/skb.ts';
import { PS_PER_NS } from '../../../hw/time/units.ts';
import type { BridgeHop } from '../netfilter/stack-port.ts';
import { StackDrop } from '../outcome.ts';
import { ETH_HEADER_BYTES, pastMacHeader, toMacHeader } from '../mac-header.ts';
import { PACKET_BROADCAST, PACKET_HOST } from '../packet-types.ts';
import { VLAN_TAG_BYTES, popVlanTag, pushVlanTag } from '../vlan-tag.ts';
import { Fdb, macNumber } from './fdb.ts';
import type { FdbEntry } from './fdb.ts';
import { VlanGroup } from './vlan-group.ts';

/** One pass through the bridge: two hash look-ups (an L3 hit of 17.45 ns each, hardware.md 5.2) and 15 ns of work, assumed. */
const BRIDGE_PS = (2 * 17.45 + 15) * PS_PER_NS;
/** 01:80:c2:00:00:0X. */
const LINK_LOCAL = 0x0180c2000000;

/** What a bridge needs of the stack around it. */
export interface BridgeStack {
  readonly kernel: Kernel;
  drop(skb: SkBuff, reason: StackDrop): void;
  /** Sends a frame (skb.at at its MAC header) through a device. */
  xmit(skb: SkBuff, dev: NetDevice): void;
  /** A packet (skb.at at its network header) as received on the bridge's device. */
  deliver(skb: SkBuff, dev: NetDevice): void;
  /** The same on a port's device, for the host itself, past the bridge. */
  deliverToHost(skb: SkBuff, dev: NetDevice): void;
}

/** A device that is a port of a bridge. */
export interface BridgePort {
  readonly dev: NetDevice;
  readonly bridge: Bridge;
  readonly vlans: VlanGroup;
  /** Its number in the bridge, from 1. */
  readonly number: number;
  /** IFF_PROMISC as the user had set it. */
  readonly wasPromisc: number;
}

export class Bridge {
  readonly dev: NetDevice;
  readonly ports: BridgePort[] = [];
  readonly fdb = new Fdb();
  /** The bridge's own VLANs. */
  readonly vlans = new VlanGroup();
  readonly stats: LinkStats64 = zeroStats64();
  vlanFiltering = false;
  defaultPvid = 1;
  /** A user has set address or MTU: ports do not change it any more. */
  fixedMac: boolean;
  fixedMtu = false;

  private readonly stack: BridgeStack;

  constructor(stack: BridgeStack, name: string, mac: Uint8Array, isFixed: boolean) {
    this.stack = stack;
    this.fixedMac = isFixed;
    this.dev = new NetDevice(name, {
      ndo_open: () => 0,
      ndo_stop: () => 0,
      ndo_start_xmit: (skb) => {
        this.xmit(skb);
        return NETDEV_TX_OK;
      },
      ndo_set_mac_address: (dev, address) => {
        dev.mac.set(address);
        this.fixedMac = true;
        return 0;
      },
      ndo_change_mtu: (dev, mtuBytes) => {
        dev.mtuBytes = mtuBytes;
        this.fixedMtu = true;
        return 0;
      },
      ndo_get_stats64: (_dev, out) => {
        Object.assign(out, this.stats);
      },
    });
    this.dev.mac.set(mac);
    this.dev.maxMtuBytes = 65535;
    this.dev.noQueue = true;
    this.vlans.add(this.defaultPvid, true, true);
  }

  /** `vlan_filtering`: from then on learned entries belong to VLANs. */
  setVlanFiltering(on: boolean): void {
    if (this.vlanFiltering === on) return;
    this.vlanFiltering = on;
    this.fdb.flush((entry) => !entry.isStatic);
    this.follow();
  }

  /** `vlan_default_pvid`: replaces the old one where it still is the port's. */
  setDefaultPvid(vlanId: number): void {
    for (const group of [this.vlans, ...this.ports.map((port) => port.vlans)]) {
      if (group.pvid !== this.defaultPvid) continue;
      group.remove(this.defaultPvid);
      if (vlanId > 0) group.add(vlanId, true, true);
    }
    this.defaultPvid = vlanId;
    this.follow();
  }

  /** Makes a device a port. */
  addPort(dev: NetDevice): BridgePort {
    let number = 1;
    while (this.ports.some((one) => one.number === number)) number++;
    const wasPromisc = dev.flags & IFF_PROMISC;
    const port: BridgePort = { dev, bridge: this, vlans: new VlanGroup(), number, wasPromisc };
    if (this.defaultPvid > 0) port.vlans.add(this.defaultPvid, true, true);
    this.ports.push(port);
    this.stack.kernel.dev_change_rx_flags(dev, IFF_PROMISC, 0);
    this.follow();
    return port;
  }

  /** Frees a port. */
  removePort(port: BridgePort): void {
    this.ports.splice(this.ports.indexOf(port), 1);
    this.fdb.flush((entry) => entry.port === port);
    this.stack.kernel.dev_change_rx_flags(port.dev, 0, IFF_PROMISC & ~port.wasPromisc);
    this.follow();
  }

  /** Address, MTU, carrier and local entries as the ports have them now. */
  follow(): void {
    const { dev, ports } = this;
    const { kernel } = this.stack;
    if (!this.fixedMac) {
      const macs = ports.map((port) => port.dev.mac);
      macs.sort((a, b) => macNumber(a, 0) - macNumber(b, 0));
      dev.mac.set(macs[0] ?? new Uint8Array(6));
    }
    if (!this.fixedMtu && ports.length > 0)
      dev.mtuBytes = Math.min(...ports.map((port) => port.dev.mtuBytes));
    this.fdb.flush((entry) => entry.isLocal && !entry.byUser);
    for (const port of ports) this.addLocal(port.dev.mac, port, port.vlans);
    if (dev.mac.some((byte) => byte !== 0)) this.addLocal(dev.mac, null, this.vlans);
    if (ports.some((port) => isForwarding(port))) kernel.netif_carrier_on(dev);
    else kernel.netif_carrier_off(dev);
  }

  /** A port does not forward any more: what was learned on it goes. */
  portDown(port: BridgePort): void {
    this.fdb.flush((entry) => entry.port === port && !entry.isLocal && !entry.isStatic);
    this.follow();
  }

  private addLocal(mac: Uint8Array, port: BridgePort | null, vlans: VlanGroup): void {
    const known = { mac: macNumber(mac, 0), isLocal: true, isStatic: true, byUser: false };
    const ids = this.vlanFiltering ? [0, ...vlans.list()] : [0];
    for (const vlanId of ids)
      if (this.fdb.find(known.mac, vlanId, 0) === null)
        this.fdb.set({ ...known, vlanId, port, updatedPs: 0 });
  }

  /** br_handle_frame: a packet that came in on a port (skb.at at its network header). Takes it. */
  receive(skb: SkBuff, port: BridgePort): void {
    const { stack } = this;
    stack.kernel.charge(BRIDGE_PS);
    const { bytes, macAt } = skb;
    const destination = macNumber(bytes, macAt);
    if ((bytes[macAt + 6] & 1) !== 0 || macNumber(bytes, macAt + 6) === 0) {
      stack.drop(skb, StackDrop.BRIDGE_SOURCE);
      return;
    }
    const reserved = destination - LINK_LOCAL;
    if (reserved > 0 && reserved < 16) {
      // Pause frames end here; those of LLDP and its like are for whoever runs on the port. STP's are a group like any other.
      if (reserved === 1) stack.drop(skb, StackDrop.BRIDGE_RESERVED);
      else stack.deliverToHost(skb, port.dev);
      return;
    }
    if (!this.dev.isUp || !isForwarding(port)) {
      stack.drop(skb, StackDrop.DEV_DOWN);
      return;
    }
    const vlanId = this.vlanFiltering ? port.vlans.admit(skb.vlanTci) : 0;
    if (this.vlanFiltering && vlanId === 0) {
      stack.drop(skb, StackDrop.BRIDGE_VLAN);
      return;
    }
    if (this.vlanFiltering) skb.vlanTci = vlanId | (skb.vlanTci < 0 ? 0 : skb.vlanTci & 0xf000);
    const { nowPs } = stack.kernel.scheduler;
    this.fdb.learn(macNumber(bytes, macAt + 6), vlanId, port, nowPs);
    if ((bytes[macAt] & 1) !== 0) {
      this.flood(skb, port, vlanId, true);
      return;
    }
    const entry = this.fdb.find(destination, vlanId, nowPs);
    if (entry === null) this.flood(skb, port, vlanId, false);
    else if (entry.isLocal) this.passUp(skb, vlanId, destination);
    else if (entry.port === null || !this.maySend(entry.port, port, vlanId))
      stack.drop(skb, StackDrop.BRIDGE_NO_PORT);
    else this.send(toMacHeader(skb), entry.port, vlanId);
  }

  /** br_dev_xmit: a frame of the host's (skb.at at its MAC header). */
  private xmit(skb: SkBuff): void {
    const { stack, stats } = this;
    stack.kernel.charge(BRIDGE_PS);
    stats.tx_packets++;
    stats.tx_bytes += skb.lenBytes;
    if (this.vlanFiltering && skb.vlanTci < 0) popVlanTag(skb);
    const vlanId = this.vlanFiltering ? this.vlans.admit(skb.vlanTci) : 0;
    if (this.vlanFiltering && vlanId === 0) {
      stack.drop(skb, StackDrop.BRIDGE_VLAN);
      return;
    }
    if (this.vlanFiltering) skb.vlanTci = vlanId | (skb.vlanTci < 0 ? 0 : skb.vlanTci & 0xf000);
    skb.macAt = skb.at;
    const entry = this.destinationOf(skb, vlanId);
    if (entry === null) this.flood(pastMacHeader(skb), null, vlanId, false);
    else if (entry.port === null || !this.maySend(entry.port, null, vlanId))
      stack.drop(skb, StackDrop.BRIDGE_NO_PORT);
    else this.send(skb, entry.port, vlanId);
  }

  private destinationOf(skb: SkBuff, vlanId: number): FdbEntry | null {
    if ((skb.bytes[skb.at] & 1) !== 0) return null;
    return this.fdb.find(macNumber(skb.bytes, skb.at), vlanId, this.stack.kernel.scheduler.nowPs);
  }

  /**
   * br_fill_forward_path: the port of a station, for frames that the host sends with tag `taggedId` (−1: untagged), and what becomes of
   * the tag; null for a station that is unknown, local, or not in that VLAN.
   */
  forwardPath(mac: Uint8Array, taggedId: number): BridgeHop | null {
    const filters = this.vlanFiltering;
    const vlanId = filters ? (taggedId >= 0 ? taggedId : this.vlans.pvid) : 0;
    const entry = this.fdb.find(macNumber(mac, 0), vlanId, this.stack.kernel.scheduler.nowPs);
    if (entry === null || entry.isLocal || entry.port === null) return null;
    const { dev, vlans } = entry.port;
    if (!filters) return { dev, vlanId, tag: 'keep' };
    if (!vlans.has(vlanId)) return null;
    const leavesTagged = !vlans.isUntagged(vlanId);
    if (leavesTagged === taggedId >= 0) return { dev, vlanId, tag: 'keep' };
    return { dev, vlanId, tag: leavesTagged ? 'add' : 'remove' };
  }

  /** To every port but the one it came from, and up when `toHost`. */
  private flood(skb: SkBuff, from: BridgePort | null, vlanId: number, toHost: boolean): void {
    const { stack, ports } = this;
    let last: BridgePort | null = null;
    for (const port of ports) if (this.maySend(port, from, vlanId)) last = port;
    if (last === null && !toHost) {
      stack.drop(skb, StackDrop.BRIDGE_NO_PORT);
      return;
    }
    const destination = macNumber(skb.bytes, skb.macAt);
    toMacHeader(skb);
    let isCopied = false;
    for (const port of ports) {
      if (!this.maySend(port, from, vlanId)) continue;
      // The last port gets the packet itself unless the host wants it; a port for which there is no memory goes without.
      const copy = port === last && !toHost ? skb : stack.kernel.skb_copy(skb);
      if (copy === null) continue;
      copy.packetId = skb.packetId;
      copy.macAt = copy.at;
      isCopied = true;
      this.send(copy, port, vlanId);
    }
    if (!toHost) return;
    // Its account is closed by a copy that leaves.
    if (isCopied) skb.packetId = -1;
    this.passUp(pastMacHeader(skb), vlanId, destination);
  }

  /** br_pass_frame_up. */
  private passUp(skb: SkBuff, vlanId: number, destination: number): void {
    const { dev, stats } = this;
    stats.rx_packets++;
    stats.rx_bytes += skb.lenBytes;
    if (skb.pktType > PACKET_BROADCAST && (skb.bytes[skb.macAt] & 1) !== 0) stats.multicast++;
    if (this.vlanFiltering && !this.vlans.has(vlanId)) {
      this.stack.drop(skb, StackDrop.BRIDGE_VLAN);
      return;
    }
    if (this.vlanFiltering && this.vlans.isUntagged(vlanId)) skb.vlanTci = -1;
    if (destination === macNumber(dev.mac, 0)) skb.pktType = PACKET_HOST;
    this.stack.deliver(skb, dev);
  }

  /** should_deliver. */
  private maySend(port: BridgePort, from: BridgePort | null, vlanId: number): boolean {
    if (port === from || !isForwarding(port)) return false;
    return !this.vlanFiltering || port.vlans.has(vlanId);
  }

  /** Out of a port, with the tag that the port wants (skb.at at the MAC header). */
  private send(skb: SkBuff, port: BridgePort, vlanId: number): void {
    if (this.vlanFiltering && port.vlans.isUntagged(vlanId)) skb.vlanTci = -1;
    if (skb.lenBytes > port.dev.mtuBytes + ETH_HEADER_BYTES + VLAN_TAG_BYTES) {
      this.stack.drop(skb, StackDrop.PKT_TOO_BIG);
      return;
    }
    if (skb.vlanTci >= 0) {
      pushVlanTag(skb, skb.vlanTci);
      skb.vlanTci = -1;
    }
    this.stack.xmit(skb, port.dev);
  }
}

/** BR_STATE_FORWARDING: without STP a port forwards while it is up and has carrier. */
export function isForwarding(port: BridgePort): boolean {
  return port.bridge.dev.isUp && port.dev.isUp && port.dev.carrier;
}
