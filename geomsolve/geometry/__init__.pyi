from .class_matrices import ClassMatrix as ClassMatrix
from .kernel import FactoredPoints as FactoredPoints
from .kernel import KernelGram as KernelGram
from .kinds import KindGram as KindGram
from .kinds import Kinds as Kinds
from .orbit_gram import OrbitGram as OrbitGram
from .orbits import Orbits as Orbits
from .variances import ClassVariances as ClassVariances
