// One direction of a connection to a FLOW_ADD command (hw/admin/format.ts), or the reason why it does not fit.
//
// Reasons: 'in-device' and 'out-device' (not a port of this card), 'family', 'l4-protocol', 'vlan', 'address'.

import { switchId, twinAdapter } from './adapter.ts';
import type { TwinAdapter } from './adapter.ts';
import type { CommandFill } from './admin-queue.ts';
import { EINVAL, EOPNOTSUPP } from '../errno.ts';
import type { FlowDirection } from '../flow-offload.ts';
import type { NetDevice } from '../netdev.ts';
import * as F from '../../hw/admin/format.ts';

/** `fill` is null when the direction does not fit; then the other fields say why. */
export interface Translation {
  fill: CommandFill | null;
  error: number;
  message: string;
  reason: string;
}

function refuse(error: number, reason: string, message: string): Translation {
  return { fill: null, error: -error, message, reason };
}

/** Port of the adapter's card behind a device, −1 when it is none. */
export function portOf(adapter: TwinAdapter, dev: NetDevice): number {
  const other = twinAdapter(dev);
  if (other === null || switchId(other.pdev) !== switchId(adapter.pdev)) return -1;
  return other.portIndex;
}

/** Checks a direction against what the device can match and do, and prepares the command. */
export function translate(adapter: TwinAdapter, way: FlowDirection): Translation {
  const inPort = portOf(adapter, way.inDev);
  const outPort = portOf(adapter, way.outDev);
  if (inPort < 0)
    return refuse(EOPNOTSUPP, 'in-device', `${way.inDev.name} is not a port of this device`);
  if (outPort < 0)
    return refuse(EOPNOTSUPP, 'out-device', `${way.outDev.name} is not a port of this device`);
  const addressBytes = way.family === 4 ? 4 : 16;
  const family: number = way.family;
  if (family !== 4 && family !== 6)
    return refuse(EOPNOTSUPP, 'family', `address family ${family} cannot be matched`);
  if (way.l4proto !== 6 && way.l4proto !== 17)
    return refuse(EOPNOTSUPP, 'l4-protocol', `protocol ${way.l4proto} cannot be matched`);
  if (way.vlanId > 4094 || way.pushVlanId > 4094)
    return refuse(EINVAL, 'vlan', `VLAN ${Math.max(way.vlanId, way.pushVlanId)} is out of range`);
  for (const address of [way.src, way.dst, way.newSrc, way.newDst])
    if (address !== null && address.length !== addressBytes)
      return refuse(EINVAL, 'address', `address of ${address.length} bytes`);
  if ((way.ethDst[0] & 1) !== 0 || (way.ethSrc[0] & 1) !== 0)
    return refuse(EINVAL, 'address', 'MAC address to set is a group address');
  const fill: CommandFill = (view, at) => {
    fillKey(view, at, way, inPort);
    fillActions(view, at, way, outPort);
  };
  return { fill, error: 0, message: '', reason: '' };
}

function fillKey(view: DataView, at: number, way: FlowDirection, inPort: number): void {
  view.setUint8(at + F.FLOW_IN_PORT, inPort);
  view.setUint8(at + F.FLOW_FAMILY, way.family);
  view.setUint8(at + F.FLOW_PROTO, way.l4proto);
  view.setUint16(at + F.FLOW_VLAN, way.vlanId < 0 ? F.FLOW_NO_VLAN : way.vlanId, true);
  view.setUint16(at + F.FLOW_MTU, way.mtuBytes > 0xffff ? 0 : way.mtuBytes, true);
  view.setUint16(at + F.FLOW_SPORT, way.sport, true);
  view.setUint16(at + F.FLOW_DPORT, way.dport, true);
  setBytes(view, at + F.FLOW_SRC, way.src);
  setBytes(view, at + F.FLOW_DST, way.dst);
}

function fillActions(view: DataView, at: number, way: FlowDirection, outPort: number): void {
  let flags: number = F.ActionFlag.SET_ETH | F.ActionFlag.DEC_TTL;
  view.setUint8(at + F.FLOW_VERDICT, F.Verdict.OUTPUT);
  view.setUint8(at + F.FLOW_OUT_PORT, outPort);
  setBytes(view, at + F.FLOW_NEW_ETH_DST, way.ethDst);
  setBytes(view, at + F.FLOW_NEW_ETH_SRC, way.ethSrc);
  if (way.vlanId >= 0) flags |= F.ActionFlag.POP_VLAN;
  if (way.pushVlanId >= 0) {
    flags |= F.ActionFlag.PUSH_VLAN;
    view.setUint16(at + F.FLOW_PUSH_TCI, way.pushVlanId, true);
  }
  if (way.newSrc !== null) {
    flags |= F.ActionFlag.SET_SRC;
    setBytes(view, at + F.FLOW_NEW_SRC, way.newSrc);
  }
  if (way.newDst !== null) {
    flags |= F.ActionFlag.SET_DST;
    setBytes(view, at + F.FLOW_NEW_DST, way.newDst);
  }
  if (way.newSport > 0 && way.newSport !== way.sport) {
    flags |= F.ActionFlag.SET_SPORT;
    view.setUint16(at + F.FLOW_NEW_SPORT, way.newSport, true);
  }
  if (way.newDport > 0 && way.newDport !== way.dport) {
    flags |= F.ActionFlag.SET_DPORT;
    view.setUint16(at + F.FLOW_NEW_DPORT, way.newDport, true);
  }
  view.setUint32(at + F.FLOW_ACTION_FLAGS, flags, true);
}

function setBytes(view: DataView, at: number, bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) view.setUint8(at + i, bytes[i]);
}
