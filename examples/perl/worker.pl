#!/usr/bin/perl
# A worker in Perl, with nothing but what Perl brings along.  It counts words; from "The protocol"
# on it is the same for every handler.  docs/protocol.md of nuxt-queue says why each line is there.
use v5.36;
use builtin 'created_as_string';
no warnings 'experimental::builtin';
use utf8;
use JSON::PP ();

# --- The handler ----------------------------------------------------------------------------------

sub handler ($job) {
    my $data = $job->{data};
    return conformance($data) if ref $data eq 'HASH' && ($data->{nq} // '') eq 'conformance';
    my $text = ref $data eq 'HASH' ? $data->{text} : undef;
    die qq(no text to count; the job's data is {"text": "..."}\n) unless defined $text;

    my %count;
    $count{ lc $_ }++ for $text =~ /\w+/g;
    log_line(info => 'counted', { different => scalar keys %count });
    my $seen = call('ctx.state.incr', { key => 'words', by => scalar(() = $text =~ /\w+/g) });
    call('ctx.flow.emit', { trigger => 'words.counted', payload => { words => \%count } });
    return { words => \%count, seen => $seen };
}

# What `nq conformance` asks of a handler that helps it to see more.
sub conformance ($data) {
    my $do = $data->{do};
    return $data->{value} if $do eq 'echo';
    die "$data->{message}\n" if $do eq 'fail';
    if ($do eq 'state') {
        call('ctx.state.set', { key => $data->{key}, value => $data->{value} });
        return call('ctx.state.get', { key => $data->{key} });
    }
    if ($do eq 'log') {
        log_line($data->@{qw(level message metadata)}) for 1 .. $data->{times};
    }
    elsif ($do eq 'emit') {
        call('ctx.flow.emit', { trigger => $data->{trigger}, payload => $data->{payload} });
    }
    elsif ($do eq 'print') { print $data->{text} }
    return undef;
}

# --- The protocol ---------------------------------------------------------------------------------

my $HOST_HOLDS = 65_536;    # bytes; a host that does not frame by lines loses what is longer
my $framed     = ( $ENV{NQ_RPC_FRAMING} // '' ) eq 'lines';
my $reader     = JSON::PP->new->utf8->allow_nonref;
my $writer     = JSON::PP->new->ascii->canonical->allow_nonref;

# The wire moves to descriptors of its own, which nothing that is started inherits: whatever is
# printed from here on goes to the host's capture, and whoever reads finds the end of the file.
open my $in,  '<&', \*STDIN  or die $!;
open my $out, '>&', \*STDOUT or die $!;
open STDIN, '<', '/dev/null' or die $!;
open STDOUT, '>&', $ENV{NQ_STDOUT_FD} // 2 or die $!;
binmode $_, ':utf8' for \*STDOUT, \*STDERR;
delete @ENV{qw(NUXT_QUEUE_CHILD_PROCESS NQ_RPC_FRAMING NQ_STDOUT_FD)};
STDOUT->autoflush;
$out->autoflush;
$SIG{PIPE} = sub { exit 0 };    # nobody reads any more

my ( $job, $next_id, %answer ) = ( undef, 1_000_000 );

read_message() until $job;
my $result = eval { handler( $job->{params}{job} ) };
$job->{reply}->( $@ eq '' ? { result => $result } : { error => failure($@) } );
exit 0;

sub call ( $method, $params ) {
    my $id   = ++$next_id;
    my $line = encode( { jsonrpc => '2.0', method => $method, params => $params, id => $id } );
    die sprintf "%s is a line of %d bytes, and this host loses lines over %d\n", $method,
        length $line, $HOST_HOLDS
        if !$framed && length $line > $HOST_HOLDS;
    print $out $line;
    read_message() until $answer{$id};
    my $got = delete $answer{$id};
    die "$method: $got->{error}{message}\n" if $got->{error};
    return $got->{result};
}

sub log_line ( $level, $message, $metadata = {} ) {
    my %params = ( level => $level, message => $message, metadata => $metadata );
    return call( 'ctx.logger.log', \%params ) unless $framed;    # its answer makes room
    print $out encode( { jsonrpc => '2.0', method => 'ctx.logger.log', params => \%params } );
}

# Take one line: an answer to a call of ours, or requests of the host.
sub read_message {
    my $line = readline $in;
    exit 0 unless defined $line;    # the host has gone
    return unless $line =~ /\S/;
    my $value = eval { $reader->decode($line) };
    if ( $@ ne '' ) {
        print $out encode( answer_to( undef, { error => rpc_error( -32700, 'not JSON' ) } ) );
    }
    elsif ( ref $value ne 'ARRAY' ) { serve( $value, sub ($answer) { print $out encode($answer) } ) }
    elsif (@$value)                 { serve_batch($value) }
    else                            { serve( undef, sub ($answer) { print $out encode($answer) } ) }
}

# Answers to a batch go out together, when the last of them is there.
sub serve_batch ($messages) {
    my $missing = grep { !is_answer($_) && !is_notification($_) } @$messages;
    my @answers;
    for my $message (@$messages) {
        serve( $message, sub ($answer) {
            push @answers, $answer;
            print $out encode( \@answers ) if @answers == $missing;
        } );
    }
}

sub serve ( $message, $send ) {
    if ( is_answer($message) ) {
        my $id = $message->{id};
        $answer{$id} = $message if defined $id && !ref $id && $id =~ /^\d+$/ && $id <= $next_id;
        return;
    }
    return $send->( answer_to( undef, { error => rpc_error( -32600, 'no request' ) } ) )
        unless is_request($message);
    my $wanted = exists $message->{id};
    my $reply  = sub ($body) { $send->( answer_to( $message->{id}, $body ) ) if $wanted };
    my $method = $message->{method};
    if ( $method eq 'execute' ) {
        return $reply->( { error => rpc_error( -32001, 'this worker has its job already' ) } )
            if $job;
        return $reply->( { error => rpc_error( -32602, 'execute takes {job, context}' ) } )
            unless ref $message->{params} eq 'HASH';
        $job = { params => $message->{params}, reply => $reply };
    }
    elsif ( $method eq 'shutdown' ) {
        $reply->( { result => undef } );
        exit 0;
    }
    elsif ( $method ne 'cancel' ) {
        $reply->( { error => rpc_error( -32601, "a worker has no method " . substr $method, 0, 80 ) } );
    }
}

sub is_answer ($message) {
    return ref $message eq 'HASH' && !exists $message->{method}
        && ( exists $message->{result} || exists $message->{error} );
}

sub is_request ($message) {
    return 0 unless ref $message eq 'HASH' && ( $message->{jsonrpc} // '' ) eq '2.0';
    return 0 unless created_as_string( $message->{method} );
    return 0 if exists $message->{params} && ref( $message->{params} ) !~ /^(HASH|ARRAY)$/;
    return !ref $message->{id} && length( $message->{id} // '' ) <= 4096;    # it is repeated
}

sub is_notification ($message) { return is_request($message) && !exists $message->{id} }

sub answer_to ( $id, $body ) {
    my $answer = { jsonrpc => '2.0', id => $id, %$body };
    my $length = $framed ? 0 : length encode($answer);
    return $answer if $length <= $HOST_HOLDS;
    my $why = "the answer is a line of $length bytes, and this host loses lines over $HOST_HOLDS";
    return { jsonrpc => '2.0', id => $id, error => rpc_error( -32000, $why ) };
}

sub failure ($error) {
    chomp( my $text = "$error" );
    my $type = ref $error || 'Error';
    return { %{ rpc_error( -32000, "$type: $text" ) }, data => { type => $type, message => $text } };
}

sub rpc_error ( $code, $message ) { return { code => $code, message => $message } }

sub encode ($value) { return $writer->encode($value) . "\n" }
