// set() and its masked form, checked as the kernel does (validate_set, spec A.7.2). The plain form is one with a mask of ones.

import { EINVAL } from '../../../driver/errno.ts';
import type { Action } from './action.ts';
import {
  ETH_P_IP,
  ETH_P_IPV6,
  FlowKey,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
  MAC_PROTO_ETHERNET,
} from './flow-key.ts';
import { KEY_LENGTHS } from './match.ts';
import { readAttrs, readBe32 } from './nlattr.ts';
import { infoOfKey, readTunnelKey, validateGeneveOptions } from './tunnel-key.ts';
import { KEY } from './uapi.ts';

/** What is known of the packet where the action stands. */
export interface SetContext {
  readonly ethType: number;
  readonly macProto: number;
}

/** The action in a set attribute's payload, or −EINVAL. */
export function readSetAction(
  bytes: Uint8Array,
  isMasked: boolean,
  key: FlowKey,
  context: SetContext,
): Action | number {
  const attrs = readAttrs(bytes);
  if (attrs?.length !== 1) return -EINVAL;
  const [{ type, value }] = attrs;
  if (type === KEY.TUNNEL) return isMasked ? -EINVAL : readSetTunnel(value);
  const size = type === KEY.MPLS ? 4 : KEY_LENGTHS[type];
  if (size === undefined || size < 0 || value.length !== (isMasked ? 2 * size : size))
    return -EINVAL;
  const set = {
    kind: 'set',
    attr: type,
    value: value.slice(0, size),
    mask: isMasked ? value.slice(size) : new Uint8Array(size).fill(0xff),
  } as const;
  if (set.value.some((byte, i) => (byte & ~set.mask[i]) !== 0)) return -EINVAL;
  return isSettable(set.attr, set.value, isMasked ? set.mask : null, key, context) ? set : -EINVAL;
}

function readSetTunnel(value: Uint8Array): Action | number {
  const tunnel = new FlowKey();
  const error = readTunnelKey(tunnel, value, null) || validateGeneveOptions(tunnel);
  return error === 0 ? { kind: 'set_tunnel', info: infoOfKey(tunnel) } : error;
}

function isSettable(
  attr: number,
  value: Uint8Array,
  mask: Uint8Array | null,
  key: FlowKey,
  { ethType, macProto }: SetContext,
): boolean {
  const isIp = ethType === ETH_P_IP || ethType === ETH_P_IPV6;
  switch (attr) {
    case KEY.PRIORITY:
    case KEY.SKB_MARK:
    case KEY.CT_MARK:
    case KEY.CT_LABELS:
      return true;
    case KEY.ETHERNET:
      return macProto === MAC_PROTO_ETHERNET;
    case KEY.IPV4:
      if (ethType !== ETH_P_IP) return false;
      return keepsProtocol(value, mask, 8, key);
    case KEY.IPV6: {
      if (ethType !== ETH_P_IPV6) return false;
      const label = readBe32(value, 32);
      return label <= 0xfffff && keepsProtocol(value, mask, 36, key);
    }
    case KEY.TCP:
      return isIp && key.ipProto === IPPROTO_TCP;
    case KEY.UDP:
      return isIp && key.ipProto === IPPROTO_UDP;
    case KEY.SCTP:
      return isIp && key.ipProto === IPPROTO_SCTP;
    case KEY.MPLS:
      return isMplsType(ethType);
    default:
      return false;
  }
}

/** Protocol and fragment type cannot be written: outside of the mask, or as the flow's key has them. */
function keepsProtocol(
  value: Uint8Array,
  mask: Uint8Array | null,
  protocolAt: number,
  key: FlowKey,
): boolean {
  const fragAt = protocolAt + 3;
  if (mask !== null) return mask[protocolAt] === 0 && mask[fragAt] === 0;
  return value[protocolAt] === key.ipProto && value[fragAt] === key.ipFrag;
}
