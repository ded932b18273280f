// The VLANs of a bridge port, or of the bridge itself (net/bridge/br_vlan.c): what may come in and go out, and with what tag.
//
// Left out: 802.1ad, per-VLAN statistics and states, tunnel ids.

const VLANS = 4096;

export class VlanGroup {
  /** VLAN of untagged frames; 0: they are dropped. */
  pvid = 0;
  /** By id: 0 not a member, 1 member, 3 member whose frames leave untagged. */
  private readonly members = new Uint8Array(VLANS);

  add(vlanId: number, isPvid: boolean, isUntagged: boolean): void {
    this.members[vlanId] = isUntagged ? 3 : 1;
    if (isPvid) this.pvid = vlanId;
    else if (this.pvid === vlanId) this.pvid = 0;
  }

  remove(vlanId: number): boolean {
    const was = this.members[vlanId] !== 0;
    this.members[vlanId] = 0;
    if (this.pvid === vlanId) this.pvid = 0;
    return was;
  }

  has(vlanId: number): boolean {
    return this.members[vlanId] !== 0;
  }

  /** Whether frames of a VLAN leave without tag. */
  isUntagged(vlanId: number): boolean {
    return this.members[vlanId] === 3;
  }

  /** Ids, ascending. */
  list(): number[] {
    const ids: number[] = [];
    for (let id = 1; id < VLANS; id++) if (this.members[id] !== 0) ids.push(id);
    return ids;
  }

  /** VLAN of a frame that comes in with this TCI (−1: untagged); 0 when it may not. */
  admit(vlanTci: number): number {
    const tagged = vlanTci < 0 ? 0 : vlanTci & 0xfff;
    const vlanId = tagged === 0 ? this.pvid : tagged;
    return vlanId !== 0 && this.members[vlanId] !== 0 ? vlanId : 0;
  }
}
