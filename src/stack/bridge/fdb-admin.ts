// Entries of a bridge's forwarding database that users add and delete (br_fdb_add, br_fdb_delete in net/bridge/br_fdb.c).
//
// A request without VLAN is about untagged entries and, on a bridge that filters, about those of every VLAN of the port.

import { EEXIST, EINVAL, ENOENT } from '../../../driver/errno.ts';
import { OK, refuse } from '../answer.ts';
import type { Answer } from '../answer.ts';
import type { BridgePort } from './bridge.ts';
import { macNumber } from './fdb.ts';

/** An entry as requested. */
export interface EntryRequest {
  mac: Uint8Array;
  /** −1: none was named. */
  vlanId: number;
  /** local: frames for it go up; static: out of the port, does not age; dynamic: as if learned. */
  state: 'local' | 'static' | 'dynamic';
  /** NLM_F_EXCL: not if it is there. */
  exclusive: boolean;
}

const VLAN_ID_MAX = 4094;

/** EINVAL for an impossible VLAN or one that the port has not, EEXIST. */
export function addEntry(port: BridgePort, request: EntryRequest, nowPs: number): Answer {
  const { mac, vlanId, state, exclusive } = request;
  const { bridge } = port;
  if (isInvalid(vlanId)) return refuse(EINVAL, 'invalid vlan id', 'fdb-vlan');
  if (bridge.vlanFiltering && vlanId > 0 && !port.vlans.has(vlanId))
    return refuse(EINVAL, '', 'fdb-vlan');
  const number = macNumber(mac, 0);
  const ids = vlansOf(port, vlanId);
  if (exclusive && bridge.fdb.find(number, ids[0], nowPs) !== null)
    return refuse(EEXIST, '', 'fdb-exists');
  for (const id of ids)
    bridge.fdb.set({
      mac: number,
      vlanId: id,
      port,
      isLocal: state === 'local',
      isStatic: state !== 'dynamic',
      byUser: true,
      updatedPs: nowPs,
    });
  return OK;
}

/** ENOENT when the port has no such entry. */
export function deleteEntry(
  port: BridgePort,
  mac: Uint8Array,
  vlanId: number,
  nowPs: number,
): Answer {
  if (isInvalid(vlanId)) return refuse(EINVAL, 'invalid vlan id', 'fdb-vlan');
  const { fdb } = port.bridge;
  let answer = refuse(ENOENT, '', 'fdb-unknown');
  for (const id of vlansOf(port, vlanId)) {
    const entry = fdb.find(macNumber(mac, 0), id, nowPs);
    if (entry === null || entry.port !== port) continue;
    fdb.delete(entry);
    answer = OK;
  }
  return answer;
}

function isInvalid(vlanId: number): boolean {
  return vlanId === 0 || vlanId > VLAN_ID_MAX;
}

/** VLANs of the entries that a request is about, 0 first where none was named. */
function vlansOf(port: BridgePort, vlanId: number): number[] {
  if (vlanId > 0) return [vlanId];
  return port.bridge.vlanFiltering ? [0, ...port.vlans.list()] : [0];
}
