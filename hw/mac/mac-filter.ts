// Layer 2 filter of one function (82599 7.1.1): 128 exact addresses, the hash tables for multicast and unicast, broadcast, promiscuous
// bits, the VLAN table. Everything is decoded when a register is written; the frame path compares words.

import {
  K_ETH_DST_HI,
  K_ETH_DST_LO,
  K_FLAGS,
  K_VLAN_COUNT,
  K_VLAN_INNER,
  K_VLAN_OUTER,
} from '../parse/key-layout.ts';
import { PARSE_BROADCAST, PARSE_MULTICAST } from '../parse/key-layout.ts';
import * as R from '../regs.ts';

const ADDRESSES = 128;
/** High word of an address that is not valid: never equal to 16 bits. */
const INVALID = 0xffffffff;
const TCI_CFI = 0x1000;

export class MacFilter {
  fctrl = 0;
  vlnctrl = 0;
  mcstctrl = 0;
  /** CTRL_EXT.EXTENDED_VLAN: the outer tag is not looked at. */
  isDoubleVlan = false;
  private readonly hi = new Uint32Array(ADDRESSES).fill(INVALID);
  private readonly lo = new Uint32Array(ADDRESSES);
  /** One past the highest valid address. */
  private limit = 0;
  /** Word of a table register: MTA, UTA and VFTA stay in the register file. */
  private readonly tableWord: (offset: number) => number;

  constructor(tableWord: (offset: number) => number) {
    this.tableWord = tableWord;
  }

  /** Decodes RAL(index) and RAH(index). */
  setAddress(index: number, ral: number, rah: number): void {
    const isValid = (rah & R.RAH_AV) !== 0;
    this.hi[index] = isValid ? ((ral & 255) << 8) | ((ral >>> 8) & 255) : INVALID;
    this.lo[index] =
      (((ral >>> 16) & 255) << 24) |
      ((ral >>> 24) << 16) |
      ((rah & 255) << 8) |
      ((rah >>> 8) & 255);
    this.limit = 0;
    for (let i = 0; i < ADDRESSES; i++) if (this.hi[i] !== INVALID) this.limit = i + 1;
  }

  /** Address 0 as key words, null when it is not valid. */
  ownAddress(): { hi: number; lo: number } | null {
    const hi = this.hi[0];
    return hi === INVALID ? null : { hi, lo: this.lo[0] };
  }

  /** Whether a parsed frame passes. */
  accepts(key: Uint32Array): boolean {
    if ((this.vlnctrl & (R.VLNCTRL_VFE | R.VLNCTRL_CFIEN)) !== 0 && !this.acceptsTag(key))
      return false;
    const flags = key[K_FLAGS];
    if ((flags & PARSE_BROADCAST) !== 0) return (this.fctrl & R.FCTRL_BAM) !== 0;
    if ((flags & PARSE_MULTICAST) !== 0)
      return (this.fctrl & R.FCTRL_MPE) !== 0 || this.isListed(key) || this.isHashed(key, R.MTA(0));
    return (this.fctrl & R.FCTRL_UPE) !== 0 || this.isListed(key) || this.isHashed(key, R.UTA(0));
  }

  /** The VLAN table, and the CFI bit (82599 7.4.4). */
  private acceptsTag(key: Uint32Array): boolean {
    const isInner = this.isDoubleVlan;
    if (key[K_VLAN_COUNT] < (isInner ? 2 : 1)) return true;
    const tci = isInner ? key[K_VLAN_INNER] : key[K_VLAN_OUTER];
    if ((this.vlnctrl & R.VLNCTRL_CFIEN) !== 0) {
      const isWanted = (this.vlnctrl & R.VLNCTRL_CFI) !== 0;
      if (((tci & TCI_CFI) !== 0) !== isWanted) return false;
    }
    if ((this.vlnctrl & R.VLNCTRL_VFE) === 0) return true;
    const vid = tci & 0xfff;
    return (this.tableWord(R.VFTA(vid >> 5)) & (1 << (vid & 31))) !== 0;
  }

  private isListed(key: Uint32Array): boolean {
    const hi = key[K_ETH_DST_HI];
    const lo = key[K_ETH_DST_LO];
    for (let i = 0; i < this.limit; i++) if (this.lo[i] === lo && this.hi[i] === hi) return true;
    return false;
  }

  /** Whether the table at an offset (MTA, UTA) has the address's bit set. */
  private isHashed(key: Uint32Array, tableAt: number): boolean {
    if ((this.mcstctrl & R.MCSTCTRL_MFE) === 0) return false;
    const low = key[K_ETH_DST_LO];
    const offsetType = this.mcstctrl & R.MCSTCTRL_MO_MASK;
    const shift = offsetType === 3 ? 0 : 4 - offsetType;
    const byte4 = (low >>> 8) & 255;
    const vector = ((byte4 >> shift) | ((low & 255) << (8 - shift))) & 0xfff;
    return (this.tableWord(tableAt + 4 * (vector >> 5)) & (1 << (vector & 31))) !== 0;
  }
}
