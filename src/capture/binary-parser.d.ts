// The part of the package binary-parser that the capture layouts use. Its own declarations pull in Node's globals,
// which would let impure code compile in the pure folders; src/tsconfig.json maps the import here.

export class Parser<Result> {
  static start(): Parser<Record<never, never>>;
  endianness(endian: 'big' | 'little'): Parser<Result>;
  uint16<Name extends string>(name: Name): Parser<Result & Record<Name, number>>;
  uint32<Name extends string>(name: Name): Parser<Result & Record<Name, number>>;
  int32<Name extends string>(name: Name): Parser<Result & Record<Name, number>>;
  parse(buffer: Uint8Array): Result;
}
