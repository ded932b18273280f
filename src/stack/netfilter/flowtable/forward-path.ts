// Forward-path discovery (spec B.7, dev_fill_forward_path): from the device of a route down through VLAN devices and bridges to the real
// one, where the packets of the other direction come in, with what tag, and where they leave.
//
// Left out: a second tag on the wire (such a path is not taken), PPPoE, DSA, tags that a switch takes off by itself.

import type { NetDevice } from '../../../../driver/netdev.ts';
import type { StackPort } from '../stack-port.ts';

/** What dev_fill_forward_path follows at most. */
const DEPTH_MAX = 5;

/** A way out that needs no neighbour: header and device are known (FLOW_OFFLOAD_XMIT_DIRECT). Shared: never changed. */
export interface DirectXmit {
  readonly outDev: NetDevice;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

export interface ForwardPath {
  /** The real device at the end. */
  readonly dev: NetDevice;
  /** VLAN of the frames there, −1 for untagged. */
  readonly vlanId: number;
  /** null: by the neighbour, as the route says. */
  readonly direct: DirectXmit | null;
}

/** The path from `top` to the station `mac`; null when it cannot be told. */
export function forwardPath(stack: StackPort, top: NetDevice, mac: Uint8Array): ForwardPath | null {
  let dev = top;
  const tags: number[] = [];
  let outDev: NetDevice | null = null;
  let throughBridge = false;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    const vlan = stack.links.vlan(dev);
    if (vlan !== null) {
      outDev ??= dev;
      tags.push(vlan.vlanId);
      dev = vlan.lower;
      continue;
    }
    const bridge = stack.bridges?.bridgeOf(dev) ?? null;
    if (bridge === null) break;
    const hop = bridge.forwardPath(mac, tags[tags.length - 1] ?? -1);
    if (hop === null) return null;
    if (hop.tag === 'add') {
      tags.push(hop.vlanId);
      // Linux 6.1 sends such frames out of the port without the tag; the bridge knows better.
      outDev ??= dev;
    } else if (hop.tag === 'remove') tags.pop();
    dev = hop.dev;
    throughBridge = true;
  }
  if (tags.length > 1) return null;
  const direct = throughBridge
    ? { outDev: outDev ?? dev, source: top.mac.slice(), destination: mac.slice() }
    : null;
  return { dev, vlanId: tags[0] ?? -1, direct };
}
