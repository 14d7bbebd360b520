# SPDX-License-Identifier: Apache-2.0
# string, hash and regex work; argv[0] = rounds
my ($n, %h, $t) = ($ARGV[0]);
for my $i (1 .. $n) {
  my $s = "item$i:" . ($i * 7919 % 10007);
  if ($s =~ /^item(\d+):(\d+)$/) { $h{$2} += $1 % 17; $t += length $s }
  $t ^= ($i << 3) & 0xffff;
}
my $c = 0; $c += $h{$_} for sort keys %h;
print "$t $c\n";
