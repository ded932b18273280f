// The ct action out of its attributes (net/openvswitch/conntrack.c, ovs_ct_copy_action; spec A.8.3).
//
// Left out: timeout policies (a name is accepted, as for one that does not exist), event masks (accepted).

import { EINVAL, ERANGE } from '../../../driver/errno.ts';
import { AF_INET, AF_INET6 } from '../ip/address.ts';
import type { CtAction, CtNat } from './action.ts';
import { ETH_P_IP, ETH_P_IPV6 } from './flow-key.ts';
import { readAttrs, readU16, readU32 } from './nlattr.ts';
import { CT, NAT } from './uapi.ts';

const HELPER_BYTES = 16;
const TIMEOUT_BYTES = 32;
const HELPERS = ['ftp', 'tftp'];

/** Payload bytes; −1: other rules. */
const LENGTHS: Readonly<Record<number, number>> = {
  [CT.COMMIT]: 0,
  [CT.FORCE_COMMIT]: 0,
  [CT.ZONE]: 2,
  [CT.MARK]: 8,
  [CT.LABELS]: 32,
  [CT.HELPER]: -1,
  [CT.NAT]: -1,
  [CT.EVENTMASK]: 4,
  [CT.TIMEOUT]: -1,
};

/** The action, −EINVAL or −ERANGE. */
export function readCtAction(bytes: Uint8Array, ethType: number): CtAction | number {
  const family = ethType === ETH_P_IP ? AF_INET : ethType === ETH_P_IPV6 ? AF_INET6 : 0;
  const attrs = readAttrs(bytes);
  if (attrs === null || family === 0) return -EINVAL;
  const ct = {
    kind: 'ct' as const,
    commit: false,
    force: false,
    zone: 0,
    mark: null as CtAction['mark'],
    labels: null as CtAction['labels'],
    helper: '',
    nat: null as CtNat | null,
    family,
  };
  for (const { type, value } of attrs) {
    const length = LENGTHS[type];
    if (length === undefined || (length >= 0 && length !== value.length)) return -EINVAL;
    switch (type) {
      case CT.FORCE_COMMIT:
        ct.force = true;
        ct.commit = true;
        break;
      case CT.COMMIT:
        ct.commit = true;
        break;
      case CT.ZONE:
        ct.zone = readU16(value);
        break;
      case CT.MARK:
        ct.mark = { value: readU32(value), mask: readU32(value, 4) };
        if (ct.mark.mask === 0) return -EINVAL;
        break;
      case CT.LABELS:
        ct.labels = { value: value.slice(0, 16), mask: value.slice(16) };
        if (ct.labels.mask.every((byte) => byte === 0)) return -EINVAL;
        break;
      case CT.HELPER:
        ct.helper = nameOf(value, HELPER_BYTES);
        if (!HELPERS.includes(ct.helper)) return -EINVAL;
        break;
      case CT.TIMEOUT:
        if (nameOf(value, TIMEOUT_BYTES) === '') return -EINVAL;
        break;
      case CT.NAT: {
        const nat = readNat(value, ct.commit, family);
        if (typeof nat === 'number') return nat;
        ct.nat = nat;
        break;
      }
    }
  }
  if (!ct.commit && (ct.mark !== null || ct.labels !== null)) return -EINVAL;
  return ct;
}

/** A string with its NUL, '' when it has none or is too long. */
function nameOf(value: Uint8Array, maxBytes: number): string {
  if (value.length > maxBytes || value[value.length - 1] !== 0) return '';
  return String.fromCharCode(...value.subarray(0, value.indexOf(0)));
}

function readNat(bytes: Uint8Array, isCommit: boolean, family: number): CtNat | number {
  const attrs = readAttrs(bytes);
  if (attrs === null) return -EINVAL;
  const size = family === AF_INET ? 4 : 16;
  const nat = {
    side: null as CtNat['side'],
    min: null as Uint8Array | null,
    max: null as Uint8Array | null,
    portMin: 0,
    portMax: 0,
    persistent: false,
    hash: false,
    random: false,
  };
  let needsSide = false;
  for (const { type, value } of attrs) {
    switch (type) {
      case NAT.SRC:
      case NAT.DST:
        if (nat.side !== null) return -ERANGE;
        if (value.length !== 0 || !isCommit) return -EINVAL;
        nat.side = type === NAT.SRC ? 'src' : 'dst';
        continue;
      case NAT.IP_MIN:
      case NAT.IP_MAX:
        if (value.length !== size) return -EINVAL;
        nat[type === NAT.IP_MIN ? 'min' : 'max'] = value.slice();
        break;
      case NAT.PROTO_MIN:
        nat.portMin = readU16(value);
        break;
      case NAT.PROTO_MAX:
        nat.portMax = readU16(value);
        break;
      case NAT.PERSISTENT:
        nat.persistent = true;
        break;
      case NAT.PROTO_HASH:
        nat.hash = true;
        break;
      case NAT.PROTO_RANDOM:
        nat.random = true;
        break;
      default:
        return -EINVAL;
    }
    needsSide = true;
  }
  if (nat.side === null && needsSide) return -EINVAL;
  nat.max ??= nat.min;
  if (nat.portMax === 0) nat.portMax = nat.portMin;
  return nat;
}
