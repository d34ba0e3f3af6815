#!/usr/bin/perl -wT
# Prints what was posted.
use strict;
binmode STDIN;
binmode STDOUT;
print "Content-Type: application/octet-stream\n\n";
read STDIN, my $body, $ENV{'CONTENT_LENGTH'} if $ENV{'CONTENT_LENGTH'};
print $ENV{'REQUEST_METHOD'}, ' ', $body // '';
