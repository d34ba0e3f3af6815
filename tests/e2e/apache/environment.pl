#!/usr/bin/perl -wT
# Prints every variable that speaks of TLS, one a line.
use strict;
print "Content-Type: text/plain\n\n";
for my $name (sort grep { /^(HTTP_)?SSL_/ } keys %ENV) {
    print "$name=$ENV{$name}\n";
}
