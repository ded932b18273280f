// A port of a datapath (net/openvswitch/vport*.c): a device whose frames go into the datapath and through which the datapath sends.

import type { NetDevice } from '../../../driver/netdev.ts';

/** OVS_VPORT_TYPE_*: what `ovs-dpctl show` says in parentheses. */
export type VportType = 'netdev' | 'internal';

export interface Vport {
  readonly number: number;
  readonly dev: NetDevice;
  readonly type: VportType;
  /** Where upcalls of packets go that came in here; 0: nowhere. */
  upcallPid: number;
  readonly wasPromisc: number;
}
