<#
.SYNOPSIS
    Puts load on the system as its users would, and says how it coped.
.DESCRIPTION
    Runs the image scalable_backend_stress, which is built when it is not there, or on Linux the program from
    target/release if it was built.
    Exit code: 0 nothing failed, 1 requests failed, 2 the options are wrong or the system is not there.
.PARAMETER MaxConcurrentUsers
    Virtual users at the same time.
.PARAMETER TestDurationMinutes
    How long to run.
.PARAMETER BaseUrl
    The system under test, as its clients reach it.
.EXAMPLE
    .\stress-test-simple.ps1 -MaxConcurrentUsers 25 -TestDurationMinutes 2
#>
[CmdletBinding()]
param(
    [ValidateRange(1, 10000)][int]$MaxConcurrentUsers = 25,
    [ValidateRange(0.05, 1440.0)][double]$TestDurationMinutes = 2,
    [ValidatePattern('^https?://')][string]$BaseUrl = 'http://localhost'
)

$minutes = $TestDurationMinutes.ToString([Globalization.CultureInfo]::InvariantCulture)
$options = @('--users', $MaxConcurrentUsers, '--minutes', $minutes, '--host')
$program = Join-Path $PSScriptRoot 'target/release/stress-test'
if ($env:OS -ne 'Windows_NT' -and (Test-Path -LiteralPath $program -PathType Leaf)) {
    & $program @options $BaseUrl
    exit $LASTEXITCODE
}
$image = 'scalable_backend_stress:latest'
docker image inspect $image *> $null
if ($LASTEXITCODE -ne 0) {
    Write-Host 'building the stress test in a container (minutes the first time)'
    docker build --target stress --tag $image $PSScriptRoot
    if ($LASTEXITCODE -ne 0) { exit 2 }
}
# In a container, this machine is called otherwise than localhost.
$url = $BaseUrl -replace '//(localhost|127\.0\.0\.1)(?=[:/]|$)', '//host.docker.internal'
docker run --rm --init --add-host 'host.docker.internal:host-gateway' $image @options $url
exit $LASTEXITCODE
