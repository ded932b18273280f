// Steering registers of BAR0: 5-tuple, EtherType and SYN filters and Flow Director of the 82599 (datasheet 8.2.3.7 and
// 8.2.3.16 to 8.2.3.17), and an extension block at the top of BAR0 for what the 82599 does not have.
//
// The extension block (names with X_) is ours: larger indirection tables, further RSS contexts and other hash functions.
// A driver that knows only the 82599 never touches it and finds the 82599's behaviour.

// 5-tuple filters, 128 of each. Addresses and ports: the first byte on the wire is the lowest byte of the field.
export const FIVE_TUPLE_FILTERS = 128;
export const SAQF = (i: number): number => 0x0e000 + 4 * i;
export const DAQF = (i: number): number => 0x0e200 + 4 * i;
/** Source port 15:0, destination port 31:16. */
export const SDPQF = (i: number): number => 0x0e400 + 4 * i;
export const FTQF = (i: number): number => 0x0e600 + 4 * i;
/** 0 TCP, 1 UDP, 2 SCTP, 3 any other. */
export const FTQF_PROTOCOL_MASK = 3;
export const FTQF_PRIORITY_SHIFT = 2;
export const FTQF_PRIORITY_MASK = 7;
/** Bits 29:25: source address, destination address, source port, destination port, protocol; 1: not compared. */
export const FTQF_MASK_SHIFT = 25;
export const FTQF_QUEUE_ENABLE = 1 << 31;
export const L34TIMIR = (i: number): number => 0x0e800 + 4 * i;
/** Low-latency interrupt; for packets of any size with SIZE_BP, else for those below LLITHRESH. */
export const L34TIMIR_SIZE_BP = 1 << 12;
export const L34TIMIR_LLI = 1 << 20;
export const L34TIMIR_QUEUE_SHIFT = 21;
export const L34TIMIR_QUEUE_MASK = 0x7f;

// EtherType filters, 8.
export const ETHERTYPE_FILTERS = 8;
export const ETQF = (i: number): number => 0x05128 + 4 * i;
export const ETQF_FILTER_EN = 1 << 31;
export const ETQF_UP_EN = 1 << 19;
export const ETQF_UP_SHIFT = 16;
export const ETQS = (i: number): number => 0x0ec00 + 4 * i;
export const ETQS_QUEUE_SHIFT = 16;
export const ETQS_LLI = 1 << 29;
export const ETQS_QUEUE_EN = 1 << 31;

// Low-latency interrupts.
/** Bytes in 11:0: a packet must be shorter. */
export const LLITHRESH = 0x0ec90;
export const LLITHRESH_SIZE_MASK = 0xfff;
/** Tagged packets of this priority (2:0) and above, with bit 3. */
export const IMIRVP = 0x05ac0;
export const IMIRVP_PRIORITY_MASK = 7;
export const IMIRVP_PRIORITY_EN = 1 << 3;

// SYN filter.
export const SYNQF = 0x0ec30;
export const SYNQF_ENABLE = 1 << 0;
export const SYNQF_QUEUE_SHIFT = 1;
/** Before the 5-tuple filters instead of after them. */
export const SYNQF_SYNQFP = 1 << 31;

// Flow Director.
export const FDIRCTRL = 0x0ee00;
/** 0 off; 1, 2, 3: 64, 128, 256 KiB of the packet buffer. */
export const FDIRCTRL_PBALLOC_MASK = 3;
export const FDIRCTRL_INIT_DONE = 1 << 3;
export const FDIRCTRL_PERFECT = 1 << 4;
export const FDIRCTRL_REPORT_STATUS = 1 << 5;
export const FDIRCTRL_DROP_Q_SHIFT = 8;
/** Flexible bytes: offset from the start of the frame in words. */
export const FDIRCTRL_FLEX_SHIFT = 16;
export const FDIRCTRL_MAX_LENGTH_SHIFT = 24;
/** Interrupt when at most so many times 16 filters are free. */
export const FDIRCTRL_FULL_THRESH_SHIFT = 28;
export const FDIRSIPV6 = (i: number): number => 0x0ee0c + 4 * i;
export const FDIRIPSA = 0x0ee18;
export const FDIRIPDA = 0x0ee1c;
/** Source port 15:0, destination port 31:16, numbers. */
export const FDIRPORT = 0x0ee20;
/** VLAN tag 15:0, flexible bytes 31:16. */
export const FDIRVLAN = 0x0ee24;
export const FDIRHASH = 0x0ee28;
export const FDIRHASH_BUCKET_MASK = 0x7fff;
export const FDIRHASH_BUCKET_VALID = 1 << 15;
export const FDIRHASH_SIG_SHIFT = 16;
export const FDIRCMD = 0x0ee2c;
export const FDIRCMD_CMD_MASK = 3;
export const FDIRCMD_ADD = 1;
export const FDIRCMD_REMOVE = 2;
export const FDIRCMD_QUERY = 3;
export const FDIRCMD_FILTER_VALID = 1 << 2;
export const FDIRCMD_FILTER_UPDATE = 1 << 3;
export const FDIRCMD_L4TYPE_SHIFT = 5;
export const FDIRCMD_CLEARHT = 1 << 8;
export const FDIRCMD_DROP = 1 << 9;
/** A packet that matches interrupts at once. */
export const FDIRCMD_INT = 1 << 10;
export const FDIRCMD_LAST = 1 << 11;
export const FDIRCMD_COLLISION = 1 << 12;
export const FDIRCMD_QUEUE_EN = 1 << 15;
export const FDIRCMD_RX_QUEUE_SHIFT = 16;
export const FDIRCMD_RX_QUEUE_MASK = 0x7f;
/** Free filters 15:0, filters with a collision 30:16. */
export const FDIRFREE = 0x0ee38;
/** Address masks: 1 bits are not compared. */
export const FDIRDIP4M = 0x0ee3c;
export const FDIRSIP4M = 0x0ee40;
/** Port masks: source 15:0, destination 31:16, each with its bits reversed; 1 bits are not compared. */
export const FDIRTCPM = 0x0ee44;
export const FDIRUDPM = 0x0ee48;
/** Longest chain 5:0 since the last read, and its hash 30:16. */
export const FDIRLEN = 0x0ee4c;
/** Filters added 15:0, removed 31:16. */
export const FDIRUSTAT = 0x0ee50;
/** Failed additions 7:0, removals 15:8. */
export const FDIRFSTAT = 0x0ee54;
export const FDIRFSTAT_FADD_MASK = 0xff;
export const FDIRMATCH = 0x0ee58;
export const FDIRMISS = 0x0ee5c;
export const FDIRHKEY = 0x0ee68;
export const FDIRSKEY = 0x0ee6c;
/** What is not compared at all. */
export const FDIRM = 0x0ee70;
export const FDIRM_VLANID = 1 << 0;
export const FDIRM_VLANP = 1 << 1;
export const FDIRM_POOL = 1 << 2;
export const FDIRM_L4P = 1 << 3;
export const FDIRM_FLEX = 1 << 4;
export const FDIRM_DIPV6 = 1 << 5;
/** A bit per byte of an IPv6 address: source 15:0, destination 31:16; 1 bits are not hashed. */
export const FDIRIP6M = 0x0ee74;

// Extension block.
/** Read only: entries of an indirection table 15:0, contexts beside the default one 23:16, bytes of a key 31:24. */
export const X_RSSCAP = 0x1f000;
/** Context that the following registers show: 0 is the port's own. */
export const X_RSSCTX = 0x1f004;
/** Hash function of the selected context: 0 Toeplitz, 1 XOR; bit 8: fields XORed pairwise first (symmetric). */
export const X_RSSFUNC = 0x1f008;
export const RSS_FUNC_TOEPLITZ = 0;
export const RSS_FUNC_XOR = 1;
export const RSS_SYMMETRIC_XOR = 1 << 8;
/** Context of Flow Director filters added from now on; 0: FDIRCMD's queue. */
export const X_FDIRCTX = 0x1f00c;
/** Read only: RSS entries have so many bits. */
export const X_RSSQBITS = 0x1f010;
export const X_RSSKEY = (i: number): number => 0x1f040 + 4 * i;
export const X_RSSKEY_WORDS = 13;
/** Four entries a register, as RETA. */
export const X_RETA = (i: number): number => 0x1f400 + 4 * i;
export const X_RETA_WORDS = 256;
export const X_RETA_256_UP = (i: number): number => X_RETA(X_RETA_WORDS + i);
