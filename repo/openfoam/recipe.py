from tykky import ContainerStack


class Openfoam(ContainerStack):
    """OpenFOAM: flow of fluids and heat, on meshes of finite volumes.

    The version of OpenCFD, as Debian has it, with its solvers and tools for meshes; cases run on
    one node, in parallel too: 'mpirun' comes with it.
    """

    homepage = "https://www.openfoam.com"
    license = "GPL-3.0-or-later"
    versions = "1912"
    image = "debian:image.txt"
    mpi = "host"
    commands = (
        *("*Foam", "foam*", "*Mesh", "mpirun"),
        *("decomposePar", "reconstructPar*", "redistributePar", "mapFields*", "setFields"),
        *("surface*", "topoSet", "transformPoints", "postProcess", "changeDictionary"),
    )
    # Where its settings are; nothing of 'etc/bashrc' is needed besides.
    env = {"WM_PROJECT_DIR": "/usr/share/openfoam"}
    keywords = "CFD", "fluid dynamics", "finite volumes", "engineering"

    def test(self, box):
        box.run(
            r"""
            mkdir 0 constant system
            foam() {
                echo "FoamFile { version 2.0; format ascii; class $1; object ${2#*/}; }" > $2
                cat >> $2
            }
            foam dictionary system/blockMeshDict << EOF
                scale 0.1;
                vertices ((0 0 0) (1 0 0) (1 1 0) (0 1 0) (0 0 .1) (1 0 .1) (1 1 .1) (0 1 .1));
                blocks (hex (0 1 2 3 4 5 6 7) (20 20 1) simpleGrading (1 1 1));
                boundary (
                    lid { type wall; faces ((3 7 6 2)); }
                    walls { type wall; faces ((0 4 7 3) (2 6 5 1) (1 5 4 0)); }
                    sides { type empty; faces ((0 3 2 1) (4 5 6 7)); }
                );
            EOF
            foam dictionary system/controlDict << EOF
                application icoFoam; startFrom startTime; startTime 0;
                stopAt endTime; endTime 0.1; deltaT 0.005;
                writeControl timeStep; writeInterval 20;
            EOF
            foam dictionary system/fvSchemes << EOF
                ddtSchemes { default Euler; }
                gradSchemes { default Gauss linear; }
                divSchemes { default Gauss linear; }
                laplacianSchemes { default Gauss linear orthogonal; }
                interpolationSchemes { default linear; }
                snGradSchemes { default orthogonal; }
            EOF
            foam dictionary system/fvSolution << EOF
                solvers {
                    "p.*" { solver PCG; preconditioner DIC; tolerance 1e-6; relTol 0; }
                    U { solver smoothSolver; smoother symGaussSeidel; tolerance 1e-5; relTol 0; }
                }
                PISO { nCorrectors 2; nNonOrthogonalCorrectors 0; pRefCell 0; pRefValue 0; }
            EOF
            foam dictionary system/decomposeParDict << EOF
                numberOfSubdomains 2; method simple;
                simpleCoeffs { n (2 1 1); delta 0.001; }
            EOF
            echo 'nu 0.01;' | foam dictionary constant/transportProperties
            foam volVectorField 0/U << EOF
                dimensions [0 1 -1 0 0 0 0]; internalField uniform (0 0 0);
                boundaryField {
                    lid { type fixedValue; value uniform (1 0 0); }
                    walls { type noSlip; }
                    sides { type empty; }
                }
            EOF
            foam volScalarField 0/p << EOF
                dimensions [0 2 -2 0 0 0 0]; internalField uniform 0;
                boundaryField { "lid|walls" { type zeroGradient; } sides { type empty; } }
            EOF
            blockMesh > log
            checkMesh | grep 'Mesh OK'
            decomposePar > log
            export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
            mpirun --oversubscribe -n 2 icoFoam -parallel > log
            test $(grep -c ^ExecutionTime log) = 20
            reconstructPar > log
            grep -q 'nonuniform List<vector>' 0.1/U
            """,
            say="flow in a box with a moving lid, on two processes",
        )
        box.run("! icoFoam -case no-such-case", say="a failure is a failure")
