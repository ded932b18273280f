// Port ranges of the ClassBench seed acl1: what of it range expansion depends on (V17).
//
// Read in the seed's parameter file (sections -prots and -dpar; stored copy in JiaChangGit/classbench-packet-classification
// @17aff79, parameter_files/acl1_seed). Of its 25 pairs of port classes it uses three, all with any source port: any destination
// port, one port, and an arbitrary range. The seeds fw1 and ipc1 were not to be found; sets generated from them are
// held against their published factor in test/src/devices/expansion.test.ts.

/** A protocol's share of the rules, and of those the share whose destination port is an arbitrary range. */
export const ACL1_PROTOCOLS: readonly { share: number; withRange: number }[] = [
  { share: 0.0845839, withRange: 0 }, // any protocol
  { share: 0.0313779, withRange: 0 }, // ICMP
  { share: 0.87312412, withRange: 0.13124999 }, // TCP
  { share: 0.01091405, withRange: 0.125 }, // UDP
];

/** Arbitrary destination port ranges: share, lowest, highest. */
export const ACL1_RANGES: readonly (readonly [number, number, number])[] = [
  [0.08235294, 1600, 1649],
  [0.07058824, 1300, 1349],
  [0.07058824, 1300, 1350],
  [0.04705882, 7500, 7599],
  [0.04705882, 2200, 2210],
  [0.03529412, 1025, 65535],
  [0.03529412, 1700, 1750],
  [0.03529412, 5001, 65535],
  [0.03529412, 32200, 32207],
  [0.03529412, 8000, 8100],
  [0.02352941, 61700, 61709],
  [0.02352941, 61500, 61509],
  [0.02352941, 61600, 61609],
  [0.02352941, 61900, 61909],
  [0.02352941, 62000, 62009],
  [0.02352941, 61800, 61809],
  [0.02352941, 61100, 61119],
  [0.02352941, 61200, 61209],
  [0.02352941, 61000, 61009],
  [0.02352941, 61400, 61409],
  [0.02352941, 61300, 61309],
  [0.02352941, 62700, 62709],
  [0.02352941, 1700, 1720],
  [0.02352941, 62600, 62609],
  [0.02352941, 20000, 20010],
  [0.02352941, 1600, 1650],
  [0.02352941, 62400, 62409],
  [0.02352941, 62100, 62109],
  [0.02352941, 62500, 62509],
  [0.01176471, 62200, 62219],
  [0.01176471, 32210, 32219],
  [0.01176471, 62220, 62239],
  [0.01176471, 62200, 62239],
  [0.01176471, 1300, 1399],
];
