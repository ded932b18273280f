// A bridge's forwarding database (net/bridge/br_fdb.c): which port a MAC address is behind, per VLAN.
//
// Learned entries are good for the ageing time after their last frame; the kernel's collector removes them, here a look-up finds an
// expired one no more (the same, but for when memory is freed). Addresses of the bridge and of its ports are local: permanent.

import type { BridgePort } from './bridge.ts';

/** An address of a bridge. */
export interface FdbEntry {
  /** 48 bits. */
  readonly mac: number;
  /** 0 while the bridge does not filter VLANs. */
  readonly vlanId: number;
  /** null: the bridge itself. */
  port: BridgePort | null;
  /** Frames for it go up. */
  isLocal: boolean;
  /** Set by hand: does not age and is not moved by frames. */
  isStatic: boolean;
  /** A user has added it: it stays whatever addresses the bridge and its ports have. */
  readonly byUser: boolean;
  /** Last frame from it, ps. */
  updatedPs: number;
}

export class Fdb {
  /** Ageing time, ps. */
  ageingPs = 300e12;
  private readonly byVlan: (Map<number, FdbEntry> | undefined)[] = [];

  /** The entry of an address, null for none or an expired one. */
  find(mac: number, vlanId: number, nowPs: number): FdbEntry | null {
    const table = this.byVlan[vlanId];
    const entry = table?.get(mac);
    if (table === undefined || entry === undefined) return null;
    if (entry.isLocal || entry.isStatic || nowPs - entry.updatedPs < this.ageingPs) return entry;
    table.delete(mac);
    return null;
  }

  /** br_fdb_update: a frame from `mac` came in on `port`. */
  learn(mac: number, vlanId: number, port: BridgePort, nowPs: number): void {
    const entry = this.find(mac, vlanId, nowPs);
    if (entry === null) {
      const flags = { isLocal: false, isStatic: false, byUser: false };
      this.set({ mac, vlanId, port, ...flags, updatedPs: nowPs });
      return;
    }
    // A frame with an address of the bridge's own as source is somebody's mistake, or a loop.
    if (entry.isLocal) return;
    if (!entry.isStatic) entry.port = port;
    entry.updatedPs = nowPs;
  }

  set(entry: FdbEntry): void {
    const table = this.byVlan[entry.vlanId] ?? new Map<number, FdbEntry>();
    this.byVlan[entry.vlanId] = table;
    table.set(entry.mac, entry);
  }

  delete(entry: FdbEntry): void {
    this.byVlan[entry.vlanId]?.delete(entry.mac);
  }

  /** Removes what `which` picks. */
  flush(which: (entry: FdbEntry) => boolean): void {
    for (const entry of this.list(-Infinity)) if (which(entry)) this.delete(entry);
  }

  /** Entries that have not expired at `nowPs`. */
  list(nowPs: number): FdbEntry[] {
    const all = this.byVlan.flatMap((table) => [...(table?.values() ?? [])]);
    return all.filter((e) => e.isLocal || e.isStatic || nowPs - e.updatedPs < this.ageingPs);
  }
}

/** A MAC address in a frame as a number. */
export function macNumber(bytes: Uint8Array, at: number): number {
  const high = (bytes[at] << 8) | bytes[at + 1];
  const low =
    ((bytes[at + 2] << 24) | (bytes[at + 3] << 16) | (bytes[at + 4] << 8) | bytes[at + 5]) >>> 0;
  return high * 0x1_0000_0000 + low;
}
